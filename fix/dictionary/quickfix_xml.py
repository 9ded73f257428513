"""Reads dictionaries in the XML format that QuickFIX made common, into the lines that our own files consist of.

    <fix major="4" minor="4"> <header> <trailer> <messages> <components> <fields>

A message, component, header or group holds <field name required>, <component name required> and <group name required>
elements; a <field number name type> holds <value enum description> elements.
"""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fix.dictionary.layout import DictionaryError, Sources, read_values

_FLAGS = {"Y": "!", "N": "", None: "", "y": "!", "n": "", "C": ""}
_UNNAMED = re.compile(r"[^A-Za-z0-9_]+")


def read_xml(text: str, known: Sources) -> tuple[str, Sources]:
    """(version, sources); fields may be named that only `known` defines. DictionaryError says what is wrong."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DictionaryError(f"not well-formed XML: {error}") from None
    if root.tag != "fix":
        raise DictionaryError(f"the outermost element is <{root.tag}>, not <fix>")
    return _version(root), _Reader(root, known).sources


def _version(root: Element) -> str:
    kind, major, minor = (root.get(key, default) for key, default in (("type", "FIX"), ("major", ""), ("minor", "")))
    pack = root.get("servicepack", "0")
    if not (major.isdecimal() and minor.isdecimal() and pack.isdecimal()):
        raise DictionaryError(f"<fix major={major!r} minor={minor!r} servicepack={pack!r}> names no version")
    return f"{kind}.{major}.{minor}" + (f"SP{pack}" if pack != "0" else "")


class _Reader:
    def __init__(self, root: Element, known: Sources) -> None:
        self.sources = Sources()
        self._tags = {text.split(" ", 1)[0]: tag for tag, text in known.fields.items()}
        self._components = set(known.components)
        # FIX.4.0 and 4.1 call every text "char".
        self._old = (root.get("major"), root.get("minor")) in (("4", "0"), ("4", "1"))
        for element in root.iterfind("fields/field"):
            self._field(element, known)
        components = root.findall("components/component")
        self._components.update(_attribute(element, "name", "<components>") for element in components)
        for element in components:
            name = _attribute(element, "name", "<components>")
            self.sources.components[name] = self._body(element, f"component {name}")
        for element in root.iterfind("messages/message"):
            name = _attribute(element, "name", "<messages>")
            msg_type = _attribute(element, "msgtype", f"message {name}")
            if msg_type in self.sources.messages:
                raise DictionaryError(f"MsgType(35)={msg_type} is defined twice")
            self.sources.messages[msg_type] = f"{_word(name)} {self._body(element, f'message {name}')}".strip()
        for part in ("header", "trailer"):
            found = root.find(part)
            if found is not None:
                setattr(self.sources, part, self._body(found, part))

    def _field(self, element: Element, known: Sources) -> None:
        name = _attribute(element, "name", "<fields>")
        tag = _attribute(element, "number", f"field {name}")
        kind = _attribute(element, "type", f"field {name}").upper()
        if not tag.isdecimal() or not 0 < int(tag) < 1 << 31:
            raise DictionaryError(f"field {name}: number {tag!r} is no tag")
        if tag in self.sources.fields:
            raise DictionaryError(f"field {name}: tag {tag} is defined twice")
        if self._old and kind == "CHAR":
            kind = "STRING"
        values = {}
        if tag in known.fields:
            values = read_values(known.fields[tag].partition(" ")[2].partition(" ")[2])
        for value in element.iterfind("value"):
            code = _attribute(value, "enum", f"field {name}")
            if "=" in code or "\x01" in code:
                raise DictionaryError(f"field {name}: {code!r} can't be a value")
            values[code] = _word(value.get("description") or code)
        words = [_word(name), _word(kind), *(f"{code}={text}" for code, text in values.items())]
        self.sources.fields[str(int(tag))] = " ".join(words)
        self._tags[_word(name)] = str(int(tag))

    def _body(self, element: Element, place: str) -> str:
        return " ".join(self._member(member, place) for member in element)

    def _member(self, element: Element, place: str) -> str:
        name = _word(_attribute(element, "name", place))
        flag = _FLAGS.get(element.get("required"))
        if flag is None:
            raise DictionaryError(f"{place}: required={element.get('required')!r} of {name} is neither Y nor N")
        if element.tag == "component":
            if name not in self._components:
                raise DictionaryError(f"{place}: component {name} is not defined")
            return f"&{name}{flag}"
        tag = self._tags.get(name)
        if tag is None:
            raise DictionaryError(f"{place}: field {name} is not defined")
        if element.tag == "field":
            return f"{tag}{flag}"
        if element.tag == "group":
            return f"{tag}{flag}({self._body(element, f'{place}, group {name}')})"
        raise DictionaryError(f"{place}: <{element.tag}> is no field, group or component")


def _attribute(element: Element, name: str, place: str) -> str:
    text = element.get(name, "").strip()
    if not text:
        raise DictionaryError(f"{place}: a <{element.tag}> without {name}")
    return text


def _word(text: str) -> str:
    return _UNNAMED.sub("_", text)
