"""The dictionaries of all versions, and those that users bring: what they say, how they extend, what is refused."""

from pathlib import Path

import pytest

from fix.dictionary import (
    DATA_LENGTHS,
    FIX4_DATA_LENGTHS,
    FIXT,
    SUPPORTED,
    Dictionary,
    DictionaryError,
    dictionary,
    load_xml,
    typed_dictionary,
)
from fix.dictionary.layout import data_lengths
from fix.message import parse

# Version: fields, messages, both as the specification counts them; FIX.5.0 with FIXT.1.1's session layer.
SIZES = {
    "FIX.4.0": (138, 27),
    "FIX.4.1": (206, 28),
    "FIX.4.2": (405, 46),
    "FIX.4.3": (635, 68),
    "FIX.4.4": (912, 93),
    "FIX.5.0": (1101, 101),
    "FIX.5.0SP1": (1373, 113),
    "FIX.5.0SP2": (6028, 164),
}


@pytest.mark.parametrize("version", SUPPORTED)
def test_fixt_carries_any_version(version: str) -> None:
    """ApplVerID(1128) of the peer says which: its session layer must not name what that version lacks."""
    carried = dictionary(FIXT, version)
    for msg_type in "012345A":
        assert carried.messages[msg_type].tags <= set(carried.fields)


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_version_is_whole(version: str) -> None:
    whole = dictionary(version)
    whole.check()
    assert (len(whole.fields), len(whole.messages)) == SIZES[version]
    assert whole.header >= {"8", "9", "35", "49", "56", "34", "52", "43", "97", "122"}
    assert whole.trailer == {"93", "89", "10"}
    assert whole.required >= {"8", "9", "35", "49", "56", "34", "52", "10"}
    assert whole.msg_types >= {"0", "1", "2", "3", "4", "5", "A", "D", "F", "G", "8", "9"}
    expected = {**whole.data_lengths, **data_lengths(whole.sources, whole.sources)}
    assert expected == whole.data_lengths == (DATA_LENGTHS if version.startswith("FIX.5") else FIX4_DATA_LENGTHS)


@pytest.mark.parametrize(
    ("version", "msg_type", "required"),
    [
        ("FIX.4.0", "D", {"11", "21", "55", "54", "38", "40"}),
        ("FIX.4.1", "D", {"11", "21", "55", "54", "40"}),
        ("FIX.4.2", "D", {"11", "21", "55", "54", "60", "40"}),
        ("FIX.4.4", "D", {"11", "54", "60", "40"}),
        ("FIX.5.0SP2", "D", {"11", "54", "60", "40"}),
        ("FIX.4.2", "A", {"98", "108"}),
        ("FIX.5.0", "A", {"98", "108", "1137"}),
        ("FIX.4.4", "4", {"36"}),
    ],
)
def test_required_fields(version: str, msg_type: str, required: set[str]) -> None:
    assert dictionary(version).messages[msg_type].required == required


def test_groups_nest() -> None:
    layout = dictionary("FIX.4.4").messages["D"]
    parties = layout.groups["453"]
    assert (parties.delimiter, parties.members) == ("448", ("448", "447", "452", "802"))
    assert parties.groups["802"].members == ("523", "803")
    assert parties.tags == {"448", "447", "452", "802", "523", "803"}
    assert layout.groups["627"].members == ("628", "629", "630"), "the header's groups are every message's"
    assert "453" in layout.own_tags and "448" not in layout.own_tags and "448" in layout.tags
    assert dictionary("FIX.4.4").messages["V"].required >= {"267", "146"}, "required groups of required components"
    assert "75" not in dictionary("FIX.4.4").messages["8"].required, (
        "required only within a component that may be absent"
    )


def test_values_have_names() -> None:
    fields = dictionary("FIX.4.4").fields
    assert fields["54"].values["1"] == "BUY"
    assert fields["55"].values == {}
    assert dictionary("FIX.4.0").fields["54"].values.keys() == {"1", "2", "3", "4", "5", "6"}
    assert dictionary("FIX.4.4").field_named("ClOrdID") == fields["11"]
    assert dictionary("FIX.4.4").field_named("NoSuchField") is None


def test_fixt_carries_any_application_version() -> None:
    assert dictionary("FIXT.1.1").name == "FIX.5.0SP2"
    assert dictionary("FIX.5.0SP1") is not dictionary("FIXT.1.1")
    older = dictionary("FIXT.1.1", "FIX.4.2")
    assert (older.name, older.begin_string) == ("FIX.4.2", "FIXT.1.1")
    assert "1137" in older.messages["A"].required and "21" in older.messages["D"].required
    assert dictionary("FIXT.1.1", "FIX.6").messages == {}


def test_an_unknown_version_is_empty() -> None:
    assert not dictionary("FIX.4.9").messages and not dictionary("FIX.4.9").header


def test_typed_messages_speak_a_little_more() -> None:
    assert "957" in typed_dictionary("FIX.4.4").messages["D"].groups
    assert "957" not in dictionary("FIX.4.4").fields
    assert typed_dictionary("FIX.4.2") is dictionary("FIX.4.2")


# --- a user's own ---

CUSTOM = """<fix major="4" minor="4">
 <messages>
  <message name="NewOrderSingle" msgtype="D" msgcat="app">
   <field name="ClOrdID" required="Y"/><field name="DeskNote" required="N"/><component name="Instrument" required="Y"/>
   <component name="DeskGrp" required="N"/>
  </message>
  <message name="DeskStatus" msgtype="U1" msgcat="app">
   <field name="NoteLen" required="N"/><field name="Note" required="N"/>
  </message>
 </messages>
 <components>
  <component name="DeskGrp"><group name="NoDesks" required="N"><field name="Desk" required="Y"/></group></component>
 </components>
 <fields>
  <field number="5001" name="DeskNote" type="STRING"/><field number="5002" name="NoDesks" type="NUMINGROUP"/>
  <field number="5003" name="Desk" type="CHAR"><value enum="E" description="Equity desk"/></field>
  <field number="5004" name="NoteLen" type="LENGTH"/><field number="5005" name="Note" type="DATA"/>
  <field number="54" name="Side" type="CHAR"><value enum="Z" description="HOUSE"/></field>
 </fields>
</fix>"""


def test_a_users_dictionary_extends_ours(tmp_path: Path) -> None:
    path = tmp_path / "desk.xml"
    path.write_text(CUSTOM)
    for extended in (load_xml(path, dictionary("FIX.4.4")), load_xml(CUSTOM, dictionary("FIX.4.4"))):
        order = extended.messages["D"]
        assert order.members[:2] == ("11", "5001") and "54" not in order.own_tags
        assert order.groups["5002"].delimiter == "5003"
        assert extended.messages["U1"].name == "DeskStatus"
        assert extended.fields["54"].values["Z"] == "HOUSE" and extended.fields["54"].values["1"] == "BUY"
        assert extended.fields["5003"].values == {"E": "Equity_desk"}
        assert extended.messages["F"] == dictionary("FIX.4.4").messages["F"]
        assert extended.data_lengths["5004"] == "5005"
    assert "5001" not in dictionary("FIX.4.4").fields
    raw = b"8=FIX.4.4|9=1|35=U1|52=20240102-14:30:00|5004=3|5005=a|=|10=000|".replace(b"|", b"\x01")
    assert parse(raw, extended).get(5005) == "a\x01="
    assert parse(raw).defect is not None


STANDALONE = """<fix type="FIX" major="4" minor="1">
 <header><field name="BeginString" required="Y"/><field name="MsgType" required="Y"/></header>
 <trailer><field name="CheckSum" required="Y"/></trailer>
 <messages><message name="Ping" msgtype="P"><field name="Word" required="Y"/></message></messages>
 <fields>
  <field number="8" name="BeginString" type="STRING"/><field number="35" name="MsgType" type="STRING"/>
  <field number="10" name="CheckSum" type="STRING"/><field number="112" name="Word" type="CHAR"/>
 </fields>
</fix>"""


def test_a_dictionary_of_its_own() -> None:
    alone = load_xml(STANDALONE)
    assert isinstance(alone, Dictionary)
    assert (alone.name, alone.begin_string, alone.msg_types) == ("FIX.4.1", "FIX.4.1", {"P"})
    assert alone.messages["P"].own_tags == {"8", "35", "10", "112"}
    assert alone.fields["112"].type == "STRING", "FIX.4.1 calls every text char"
    assert load_xml(STANDALONE.replace('minor="1"', 'minor="4"')).fields["112"].type == "CHAR"


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("</fix>", "", "not well-formed XML: .*line"),
        ("fix", "fixml", "the outermost element is <fixml>"),
        ('major="4"', "", "names no version"),
        ('number="5001"', 'number="x"', "field DeskNote: number 'x' is no tag"),
        ('number="5001"', 'number="54"', "tag 54 is defined twice"),
        ('number="5001" ', "", "field DeskNote: a <field> without number"),
        (' msgtype="U1"', "", "message DeskStatus: a <message> without msgtype"),
        ('msgtype="U1"', 'msgtype="D"', "MsgType.35.=D is defined twice"),
        (
            'name="DeskGrp" required',
            'name="Nowhere" required',
            "NewOrderSingle: component Nowhere is not defined",
        ),
        ('<field name="Desk"', '<field name="Desks"', "component DeskGrp, group NoDesks: field Desks is not defined"),
        ('<field name="Desk" required="Y"/>', "", "group 5002 is empty"),
        ('<field name="Desk" required="Y"/>', '<component name="DeskGrp" required="Y"/>', "DeskGrp contains itself"),
        ('name="Desk" required="Y"', 'name="Desk" required="maybe"', "required='maybe' of Desk is neither Y nor N"),
        ('<field name="DeskNote"', '<text name="DeskNote"', "<text> is no field, group or component"),
        ('enum="E"', 'enum="E=1"', "'E=1' can't be a value"),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, complaint: str) -> None:
    with pytest.raises(DictionaryError, match=complaint):
        load_xml(CUSTOM.replace(before, after), dictionary("FIX.4.4"))


def test_without_a_base_it_must_be_complete() -> None:
    with pytest.raises(DictionaryError, match="message NewOrderSingle: field ClOrdID is not defined"):
        load_xml(CUSTOM)
    with pytest.raises(OSError, match="nowhere"):
        load_xml("nowhere.xml")
