"""Passwords as hashes, and the command that makes them."""

import io

import pytest

from simulator import passwords
from simulator.__main__ import _parser, main
from simulator.errors import ServiceError
from simulator.passwords import PasswordHash, check_password, hash_of, is_hash, read_password

SALT = b"SodiumChloride"
# RFC 7914 section 12, the third vector.
RFC7914 = bytes.fromhex(
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
)
# "password", as another implementation has written it (passlib's documentation).
OTHERS = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "LOG_COST", 10)


def test_the_function_is_that_of_the_rfc() -> None:
    known = PasswordHash(14, 8, 1, SALT, RFC7914)
    assert known.matches("pleaseletmein")
    assert not known.matches("pleaseletmeout")
    assert PasswordHash.parse(str(known)) == known


def test_hashes_of_other_implementations_are_taken() -> None:
    assert PasswordHash.parse(OTHERS).matches("password")
    assert str(PasswordHash.parse(OTHERS)) == OTHERS


def test_new_hashes_cost_what_is_recommended() -> None:
    assert (passwords.LOG_COST, PasswordHash.of("x").block) == (14, 8)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("password", ["secret", "a: b", "wörd €", "$", "x" * 1000])
def test_a_hash_is_that_of_its_password(password: str) -> None:
    made = PasswordHash.of(password)
    assert PasswordHash.parse(str(made)).matches(password)
    assert not made.matches(f"{password} ")
    assert PasswordHash.of(password) != made  # another salt
    assert hash_of(str(made)) == made
    assert hash_of(password).matches(password)


COSTS, BODY = "ln=14,r=8,p=1", "c29kaXVtY2hsb3JpZGU$" + "A" * 43


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("$scrypt$", "is not of the form"),
        (f"$scrypt${COSTS}$onlysalt", "is not of the form"),
        (f"$scrypt${COSTS}${BODY}=", "is not of the form"),
        (f"$scrypt${COSTS}${BODY}$", "is not of the form"),
        (f"$scrypt$n=16384,r=8,p=1${BODY}", "is not of the form"),
        (f"$scrypt$ln=9,r=8,p=1${BODY}", "is too easy to guess from"),
        (f"$scrypt$ln=14,r=1,p=1${BODY}", "is too easy to guess from"),
        (f"$scrypt$ln=14,r=8,p=0${BODY}", "is too easy to guess from"),
        (f"$scrypt$ln=18,r=8,p=1${BODY}", "takes more than"),
        (f"$scrypt$ln=14,r=99,p=99${BODY}", "takes more than"),
        (f"$scrypt${COSTS}$AAAA${'A' * 43}", "is cut off"),
        (f"$scrypt${COSTS}${BODY[:-30]}", "is cut off"),
        (f"$scrypt${COSTS}${BODY[:-2]}", "is cut off"),  # no whole bytes
        ("$2b$12$abcdefghijklmnopqrstuv", "is a hash that is not scrypt's"),
        ("$argon2id$v=19$m=65536,t=3,p=4$abc$def", "is a hash that is not scrypt's"),
        ("$6$salt$hash", "is a hash that is not scrypt's"),
        ("$pbkdf2-sha256$29000$abc$def", "is a hash that is not scrypt's"),
        ("", "not empty"),
        ("a\nb", "without control characters"),
    ],
)
def test_what_cannot_be_used_is_told_and_not_shown(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        check_password(text)
    assert "callsim password" in str(caught.value) or not text.startswith("$")
    assert BODY[-20:] not in str(caught.value)


@pytest.mark.parametrize("text", ["$ecret", "$1000", "$$", "$abc$def", "scrypt$", "$5 a day"])
def test_a_plain_password_may_begin_with_a_dollar(text: str) -> None:
    assert check_password(text) == text
    assert not is_hash(text)


# -- the command ---------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("quick")
def test_the_hash_of_a_line_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("geheim: wörd \nsecond line\n"))
    options = _parser().parse_args(["password"])
    assert options.run(options) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert PasswordHash.parse(line).matches("geheim: wörd ")


def test_a_terminal_is_asked_twice_and_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = ["secret", "secret", "secret", "other"]

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(passwords, "getpass", getpass)
    assert read_password() == "secret"
    assert asked == ["Password: ", "Again: "]
    with pytest.raises(ServiceError, match="differ"):
        read_password()


@pytest.mark.parametrize("given", ["", "\n", "a\x07b\n"])
def test_what_is_no_password_has_no_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    assert main(["password"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "not empty, without control characters" in told.err


def test_the_command_line_is_no_place_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["password", "secret"])
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
