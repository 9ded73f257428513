"""What a Logon(A) says and whether it can be accepted."""

from hashlib import sha256
from typing import NamedTuple

from fix.checks import int_field
from fix.config import SessionConfig
from fix.credentials import Credential, find, hash_password
from fix.dictionary import APPL_VER_IDS, FIXT
from fix.errors import FieldError, SessionRejectReason
from fix.message import Message

APPL_VER_ID = {version: appl_ver_id for appl_ver_id, version in APPL_VER_IDS.items()}
_WITHOUT_NEXT_EXPECTED = ("FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3")
_WITHOUT_MAX_MESSAGE_SIZE = ("FIX.4.0", "FIX.4.1")


class Terms(NamedTuple):
    """What the peer's Logon(A) asks for."""

    heart_bt_int: int  # seconds
    reset: bool  # ResetSeqNumFlag(141)
    next_expected: int | None  # NextExpectedMsgSeqNum(789), where the session looks at it
    max_message_size: int  # 0: any
    application: str  # the version of the messages that it will send


def read_terms(message: Message, config: SessionConfig) -> Terms:
    """FieldError for a Logon(A) that can't be accepted."""
    if int_field(message, 98, "EncryptMethod") != 0:
        reason = SessionRejectReason.VALUE_INCORRECT
        raise FieldError(98, message.get(98), reason, f"EncryptMethod(98)={message.get(98)} is not supported, only 0")
    next_expected = None
    if uses_next_expected(config) and message.get(789) is not None:
        next_expected = int_field(message, 789, "NextExpectedMsgSeqNum")
    max_message_size = int_field(message, 383, "MaxMessageSize") if message.get(383) is not None else 0
    heart_bt_int = int_field(message, 108, "HeartBtInt")
    return Terms(heart_bt_int, message.get(141) == "Y", next_expected, max_message_size, _application(message, config))


def uses_next_expected(config: SessionConfig) -> bool:
    return config.next_expected_msg_seq_num and config.begin_string not in _WITHOUT_NEXT_EXPECTED


def _application(message: Message, config: SessionConfig) -> str:
    if config.begin_string != FIXT:
        return config.begin_string
    text = message.get(1137)
    reason = SessionRejectReason
    if text is None:
        raise FieldError(1137, None, reason.REQUIRED_TAG_MISSING, "DefaultApplVerID(1137) is missing")
    version = APPL_VER_IDS.get(text)
    if version is None:
        raise FieldError(1137, text, reason.VALUE_INCORRECT, f"DefaultApplVerID(1137)={text} is not supported")
    return version


def logon_fields(config: SessionConfig, heart_bt_int: int, reset: bool, next_expected: int) -> str:
    """The body of our Logon(A)."""
    fields = f"98=0\x01108={heart_bt_int}\x01"
    fields += "141=Y\x01" if reset and config.begin_string != "FIX.4.0" else ""  # which begins at 1 by agreement
    fields += f"789={next_expected}\x01" if uses_next_expected(config) else ""
    if config.announce_max_message_size and config.begin_string not in _WITHOUT_MAX_MESSAGE_SIZE:
        fields += f"383={config.max_message_bytes}\x01"
    if config.role == "initiator" and config.username:
        fields += f"553={config.username}\x01554={config.password}\x01"
        fields += f"925={config.new_password}\x01" if config.new_password else ""
    fields += f"1137={APPL_VER_ID[config.application]}\x01" if config.begin_string == FIXT else ""
    return fields


def authenticate(message: Message, credentials: tuple[Credential, ...], now_ns: int) -> tuple[Credential, ...] | None:
    """The credentials from now on, which a NewPassword(925) changes; None where the peer is not who it says."""
    if not credentials:
        return credentials
    known = find(credentials, message.get(553) or "", message.get(554) or "")
    if known is None:
        return None
    new_password = message.get(925)
    if not new_password:
        return credentials
    # Unlike any other salt without being random: the old hash has a salt of its own.
    salt = sha256(f"{known.username}{known.hashed}{now_ns}".encode()).digest()[:16]
    changed = Credential(known.username, hash_password(new_password, salt))
    return tuple(changed if credential is known else credential for credential in credentials)
