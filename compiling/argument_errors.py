"""What a wrong call meets in compiled code: the source of the function, which refuses it.

Called by setup.py after mypyc and before the C compiler.

1. mypyc makes a wrapper for each function that Python calls. It parses the arguments, checks
   their types, and answers a wrong one in words of its own, where the source has better ones,
   or would take the argument. The ends of the wrapper that are reached so, and no others, are
   made to call the function's source: see `cachestorm/refused_calls.py`.
2. Arguments by position alone are parsed by the short way for functions with parameters by
   keyword only as well. mypyc takes it only where there are none, but it is right wherever no
   keyword must be given.
3. The setter of a property is called to delete as well, without a value, which mypyc's does
   not look for: it would crash. Here it says what Python's says.
4. What does not look as mypy 2.4.1 writes it is refused, never skipped.
"""

from __future__ import annotations

import re
from pathlib import Path

from compiling.help_texts import Source, decorators

WRAPPER = re.compile(
    r"^(?P<indent> *)(?:static )?PyObject \*CPyPy_(?P<name>\w+)"
    r"\((?P<takes>PyObject \*self, PyObject \*[^)]*)\) \{\n(?P<body>.*?)^(?P=indent)\}",
    re.MULTILINE | re.DOTALL,
)
PARSING = re.compile(r"(if \(!CPyArg_Parse\w+\([^;]*?\)\) \{\s*)return NULL;")
FAILING = re.compile(
    r"(fail: ;\s*(?:CPy_DECREF\(\w+\);\s*)*)CPy_AddTraceback\([^;]*;\s*return NULL;"
)
SLOT = re.compile(
    r"^(?P<indent> *)static (?P<kind>PyObject \*|int )"
    r"CPyDunder_(?P<slot>__(?:get|set|del)item__)(?P<owner>\w+)"
    r"\((?P<takes>[^)]*)\) \{\n.*?^(?P=indent)\}",
    re.MULTILINE | re.DOTALL,
)
TAKEN = re.compile(r"\bobj_\w+")
SETTER = re.compile(
    r"(?P<head>\b(?P<name>\w+_set_\w+)\(\w+ \*self, PyObject \*value, void \*closure\)\s*\{\n)"
    r"(?P<body>\s*char retval = 2;\n.*?\n\s*return 0;\n\s*\})",
    re.DOTALL,
)
DELETING = """\
    if (value == NULL) {{
        PyErr_Format(
            PyExc_AttributeError, "property '%s' of '%s' object has no deleter",
            "{name}", Py_TYPE(self)->tp_name);
        return -1;
    }}
"""
SETTER_MISFIT = re.compile(r'CPy_TypeError\("[^"]*", value\);\s*return -1;')
MISFIT = re.compile(r'CPy_TypeError\("[^"]*", obj_\w+\);\s*(?:goto fail|return NULL);')
BOUND = re.compile(r"PyObject \*obj_\w+ = self;")
PLAIN_PARSER = re.compile(r'CPyArg_Parser parser = \{"[^%"@]*:\w+"')
LONG_WAY = "CPyArg_ParseStackAndKeywords("
SHORT_WAY = "CPyArg_ParseStackAndKeywordsSimple("
INCLUDE = re.compile(r"^#include .*\n", re.MULTILINE)

# once in each unit of C, which may be made of those of several modules
HELPERS = """
#ifndef CPYREFUSED
#define CPYREFUSED
static PyObject *CPyRefused_call(
    const char *name, PyObject *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *type, *value, *traceback, *result = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    Py_ssize_t bound = self != NULL, count = PyTuple_GET_SIZE(arguments);
    PyObject *all = PyTuple_New(bound + count);
    PyObject *module = PyImport_ImportModule("cachestorm.refused_calls");
    if (all != NULL && module != NULL) {
        if (bound)
            PyTuple_SET_ITEM(all, 0, Py_NewRef(self));
        for (Py_ssize_t i = 0; i < count; i++)
            PyTuple_SET_ITEM(all, bound + i, Py_NewRef(PyTuple_GET_ITEM(arguments, i)));
        result = PyObject_CallMethod(
            module, "again", "sOO", name, all, keywords == NULL ? Py_None : keywords);
    }
    Py_XDECREF(module);
    Py_XDECREF(all);
    if (result == Py_NotImplemented) {
        Py_DECREF(result);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return result;
}

static PyObject *CPyRefused_vectorcall(
    const char *name, PyObject *self, PyObject *const *args, size_t nargs, PyObject *kwnames)
{
    PyObject *result = NULL, *keywords = NULL;
    PyObject *arguments = PyTuple_New((Py_ssize_t)nargs);
    if (arguments == NULL)
        return NULL;
    for (size_t i = 0; i < nargs; i++)
        PyTuple_SET_ITEM(arguments, i, Py_NewRef(args[i]));
    if (kwnames != NULL) {
        keywords = PyDict_New();
        if (keywords == NULL)
            goto done;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++)
            if (PyDict_SetItem(keywords, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0)
                goto done;
    }
    result = CPyRefused_call(name, self, arguments, keywords);
done:
    Py_XDECREF(keywords);
    Py_DECREF(arguments);
    return result;
}

static PyObject *CPyRefused_item(
    const char *name, PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *const args[] = {key, value};
    return CPyRefused_vectorcall(name, self, args, value == NULL ? 1 : 2, NULL);
}

static int CPyRefused_change(
    const char *name, PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *result = CPyRefused_item(name, self, key, value);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
#endif
"""


class ArgumentErrors:
    """The wrappers that mypyc made, by the functions that they are of.

    Args:
        sources: the path of each compiled module's source, by the module's name.
    """

    def __init__(self, sources: dict[str, Path]) -> None:
        from mypyc.namegen import NameGenerator

        names = NameGenerator([list(sources)])
        # `module:path` of each function, by the name that C has for it
        self._paths: dict[str, str] = {}
        self._setters: dict[str, str] = {}
        for module, path in sources.items():
            for owner, node in Source(module, path).functions():
                kinds = decorators(node)
                dotted = node.name if owner is None else f"{owner.name}.{node.name}"
                if owner is not None and "setter" in kinds:
                    name = f"{names.private_name(module, owner.name)}_set_{node.name}"
                    self._setters[name] = f"{module}:{dotted}"
                elif kinds.isdisjoint({"overload", "property"}):
                    self._paths[names.private_name(module, dotted)] = f"{module}:{dotted}"

    def put_into(self, units: list[Path]) -> None:
        """Rewrites the units of C in place.

        Raises:
            ValueError: what mypyc wrote has another shape than that of mypy 2.4.1.
        """
        done = 0
        setters = 0
        for unit in units:
            text = unit.read_text("utf-8")
            changed, count = WRAPPER.subn(self._wrapper, text)
            if not count:
                continue
            done += count
            changed = SLOT.sub(self._slot, changed)
            setters += sum(m["name"] in self._setters for m in SETTER.finditer(changed))
            changed = SETTER.sub(self._setter, changed)
            start = max(
                (m.end() for m in INCLUDE.finditer(changed, 0, changed.index("CPyPy_"))),
                default=0,
            )
            unit.write_text(changed[:start] + HELPERS + changed[start:], "utf-8")
        if done < len(self._paths) / 2:
            raise ValueError(f"{len(self._paths)} functions have {done} wrappers")
        if setters != len(self._setters):
            raise ValueError(f"{len(self._setters)} properties are set by {setters} setters")

    def _wrapper(self, wrapper: re.Match[str]) -> str:
        path = self._paths.get(wrapper["name"])
        if path is None:
            return wrapper[0]
        body = wrapper["body"]
        bound = "self" if BOUND.search(body) else "NULL"
        if "kwnames" in wrapper["takes"]:
            call = f'CPyRefused_vectorcall("{path}", {bound}, args, nargs, kwnames)'
        else:
            call = f'CPyRefused_call("{path}", {bound}, args, kw)'
        body, parsed = PARSING.subn(rf"\1return {call};", body)
        body, failed = FAILING.subn(rf"\1return {call};", body)
        if (parsed, failed) != (1, 1):
            raise ValueError(f"the wrapper of {path} has {parsed} parsers, {failed} failures")
        if PLAIN_PARSER.search(body):
            body = body.replace(LONG_WAY, SHORT_WAY)
        start = wrapper.start("body") - wrapper.start()
        end = wrapper.end("body") - wrapper.start()
        return wrapper[0][:start] + body + wrapper[0][end:]

    def _slot(self, slot: re.Match[str]) -> str:
        path = self._paths.get(f"{slot['owner']}___{slot['slot']}")
        if path is None:
            # the same slot of C is for setting and deleting, of which a class may have one
            return slot[0]
        helper = "CPyRefused_item" if "PyObject" in slot["kind"] else "CPyRefused_change"
        # self, the key and, to set, the value: called as the source calls them
        _, key, *rest = TAKEN.findall(slot["takes"])
        call = f'return {helper}("{path}", obj_self, {key}, {rest[0] if rest else "NULL"});'
        return MISFIT.sub(call, slot[0])

    def _setter(self, setter: re.Match[str]) -> str:
        path = self._setters.get(setter["name"])
        if path is None:
            return setter[0]
        call = f'return CPyRefused_change("{path}", (PyObject *)self, value, NULL);'
        deleting = DELETING.format(name=path.rpartition(".")[2])
        return setter["head"] + deleting + SETTER_MISFIT.sub(call, setter["body"])
