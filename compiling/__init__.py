"""What setup.py needs to compile the packages: part of the repository and the sdist only."""
