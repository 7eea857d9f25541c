"""The addresses."""

from django.urls import path

from blog import views

urlpatterns = [
    path("", views.index),
    path("posts/<int:pk>/", views.show),
    path("posts/<int:pk>/rename/", views.rename),
]
