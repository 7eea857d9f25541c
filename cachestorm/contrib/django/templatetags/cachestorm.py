"""`{% load cachestorm %}`: fragments of templates that are cached, with tags."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.cache import InvalidCacheBackendError, caches
from django.core.cache.utils import make_template_fragment_key
from django.template.base import FilterExpression, NodeList, Parser, Token

from cachestorm.markers import MISSING

register = template.Library()

USAGE = "{% cachetags 500 name [vary on ...] tags=list_or_string [using='default'] %}"


class CachedFragment(template.Node):  # type: ignore[misc]
    """A part of a template that is rendered once for each value of what it varies on."""

    def __init__(
        self,
        nodelist: NodeList,
        timeout: FilterExpression,
        name: str,
        vary_on: list[FilterExpression],
        named: dict[str, FilterExpression],
    ) -> None:
        self.nodelist = nodelist
        self.timeout = timeout
        self.name = name
        self.vary_on = vary_on
        self.named = named

    def render(self, context: template.Context) -> str:
        """The fragment as it is cached, or rendered now."""
        timeout = self.timeout.resolve(context)
        if timeout is not None:
            try:
                timeout = int(timeout)
            except (ValueError, TypeError):
                raise template.TemplateSyntaxError(
                    f"cachetags: the timeout must be a number of seconds, not {timeout!r}"
                ) from None
        using = self.named["using"].resolve(context) if "using" in self.named else "default"
        try:
            cache = caches[using]
        except InvalidCacheBackendError:
            raise template.TemplateSyntaxError(
                f"cachetags: there is no cache {using!r} in CACHES"
            ) from None
        names = self._tags(context)
        key = make_template_fragment_key(self.name, [v.resolve(context) for v in self.vary_on])
        found = cache.get(key, MISSING)
        if found is MISSING:
            before = cache.version_of_tags(*names) if names else None
            found = self.nodelist.render(context)
            if names:
                cache.set_if_unchanged(key, found, timeout, names, before)
            else:
                cache.set(key, found, timeout)
        return str(found)

    def _tags(self, context: template.Context) -> list[str]:
        """The names of the tags.

        Raises:
            TemplateSyntaxError: for a variable that there is not: what is cached without its
                tags would stay when they are invalidated.
        """
        if "tags" not in self.named:
            return []
        named = self.named["tags"]
        tags: Any = named.resolve(context, ignore_failures=True)
        if tags is None:
            raise template.TemplateSyntaxError(
                f"cachetags: tags={named.token} is not defined, or None: use a list or a "
                "string of names, or leave tags out"
            )
        return tags.replace(",", " ").split() if isinstance(tags, str) else list(tags)


@register.tag  # type: ignore[untyped-decorator]
def cachetags(parser: Parser, token: Token) -> CachedFragment:
    """Caches a part of a template, as `{% cache %}` does, with tags.

    `tags` is a list of names, or a string of names between spaces or commas.
    """
    nodelist = parser.parse(("endcachetags",))
    parser.delete_first_token()
    bits = token.split_contents()
    named: dict[str, FilterExpression] = {}
    while bits and bits[-1].partition("=")[0] in ("tags", "using") and "=" in bits[-1]:
        name, _, value = bits.pop().partition("=")
        named[name] = parser.compile_filter(value)
    if len(bits) < 3:
        raise template.TemplateSyntaxError(f"use {USAGE}")
    vary_on = [parser.compile_filter(bit) for bit in bits[3:]]
    return CachedFragment(nodelist, parser.compile_filter(bits[1]), bits[2], vary_on, named)
