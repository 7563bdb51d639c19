from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from simulator.config import Config, ConfigError, HttpListen, Listen, SipTarget, check_config
from simulator.config_base import covers
from simulator.config_values import check_probe_url
from simulator.script import Answer, Queue, Release, SelfService
from tests.support.certificates import Authority

Write = Callable[[str], Path]

SOUND = """\
server: {name: lab, max_calls: 100}
sip:
  listen: [udp:127.0.0.1:5070, "tls:[::1]:0;advertise=lab.example"]
  tls: {certificate: cert.pem}
dialed_numbers:
  - {pattern: 1>, script: main, application: bank}
  - {pattern: 0017, label: 0018}
routes:
  - {pattern: 0018, to: sip:10.0.0.1:5060;transport=tcp}
  - 7770000000>=sip:10.0.0.2
  - 2001=sip:10.0.0.3
icm:
  scripts:
    main:
      - self_service: {application: welcome, seconds: 2.5}
      - queue: {skill_group: support, seconds: 60}
      - release:
  skill_groups:
    support: {wait: 3, agents: [2001]}
  agents:
    2001: {name: Ada}
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A certificate and its key in one file."""
    issued = Authority(tmp_path_factory.mktemp("tls")).issue("lab.example")
    return issued.certificate.read_bytes() + issued.key.read_bytes()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chain: bytes) -> Write:
    """Write a configuration file in a folder that is also the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cert.pem").write_bytes(chain)

    def writer(text: str) -> Path:
        path = Path("callsim.yaml")
        path.write_text(text)
        return path

    return writer


def faults(path: Path) -> list[str]:
    return [str(problem) for problem in check_config(path)]


# -- the built-in plan ---------------------------------------------------------------------


def test_defaults_are_those_of_a_call_server() -> None:
    config = Config()
    assert config.sip.error_refer
    assert config.icm.wait == 2
    assert (config.sip.t1, config.sip.t2, config.sip.t4) == (0.5, 4, 5)
    timer = config.sip.session_timer
    assert (timer.expires, timer.min_se, timer.refresher) == (0, 90, "auto")
    assert (config.sip.audit.every, config.sip.audit.older_than) == (120, 7200)
    assert [str(one) for one in config.sip.listen] == ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"]
    assert [str(one) for one in config.api.listen] == [
        "https://0.0.0.0:8000",
        "http://127.0.0.1:8080",
    ]
    assert config.server.max_calls == -1
    assert config.cdr_path == Path("callsim-data/cdr.sqlite")
    assert not config.lab.embedded


def test_without_a_file_the_builtin_plan_holds() -> None:
    config = Config.load()
    assert config == Config.builtin()
    assert config.lab.embedded
    assert not config.sip.error_refer
    assert config.icm.wait == 0
    assert [number.pattern for number in config.dialed_numbers] == (
        "5> 6> 7> 93XX 94XX 95XX 96XX 8XX >".split()
    )
    (answer,) = config.icm.scripts["standalone"]
    assert isinstance(answer.action, Answer)
    service, queue = (step.action for step in config.icm.scripts["support"])
    assert service == SelfService(application="support", seconds=2)
    assert queue == Queue(skill_group="support")
    assert config.icm.skill_groups["support"].wait == 3


@pytest.mark.parametrize("comments", [True, False])
def test_the_builtin_plan_as_a_file_is_the_same_plan(write: Write, comments: bool) -> None:
    text = Config.builtin().to_yaml(comments=comments)
    path = write(text)
    assert Config.load(path) == Config.builtin()
    assert faults(path) == []
    assert ("# Port 0" in text or "#" in text) == comments
    assert max(map(len, text.splitlines())) < 160


def keys(section: type[BaseModel], at: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The keys that the file has of a section and of those in it."""
    for name, info in section.model_fields.items():
        if isinstance(info.default, BaseModel):
            yield from keys(type(info.default), f"{at}{name}.")
        else:
            yield f"{at}{name}", info


def test_every_key_of_the_defaults_has_a_comment() -> None:
    assert [key for key, info in keys(Config) if not info.description] == []


@pytest.mark.parametrize(
    "lines",
    [
        "  # Unset: true.\n  error_refer: false\n",
        "  # Unset: 2.\n  wait: 0\n",
        "  # Unset: false.\n  embedded: true\n",
        "\n# Unset: none.\ndialed_numbers:\n",
        "\n# Keys: component, url.\nneighbours: []\n",
        "greeting, agents.\n  # Unset: none.\n  skill_groups:\n",
    ],
)
def test_the_comment_tells_what_holds_without_the_key(lines: str) -> None:
    assert lines in Config.builtin().to_yaml()


def test_a_loaded_configuration_survives_being_written(write: Write) -> None:
    config = Config.load(write(SOUND), overrides=["api.users.ann=a: 'b\" #c", "sip.t1=0.02"])
    assert Config.load(write(config.to_yaml())) == config


@given(st.text(max_size=60), st.floats(0.001, 60), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_being_written(
    write: Write, text: str, seconds: float, enabled: bool
) -> None:
    text = "".join(c for c in text if c.isprintable())
    raw = {
        "dialed_numbers": [
            {
                "pattern": ">",
                "description": text,
                "label": "1",
                "enabled": enabled,
                "ring_no_answer": seconds,
            }
        ],
        "icm": {"scripts": {text or "-": ["answer"]}},
    }
    config = Config.model_validate(raw)
    assert Config.load(write(config.to_yaml())) == config


def test_lab_routes_are_added_after_those_of_the_configuration() -> None:
    config = Config.load(overrides=["routes=['1XXX=sip:10.0.0.1']"])
    routes = {
        route.pattern: str(route.to)
        for route in config.with_lab("sip:127.0.0.1:6001", "sip:127.0.0.1:6002").routes
    }
    assert routes["1XXX"] == "sip:10.0.0.1"
    assert routes["8XX"] == routes["96XX"] == "sip:127.0.0.1:6001"
    assert routes["7770000000>"] == routes["9191>"] == routes["9292>"] == "sip:127.0.0.1:6002"


# -- values from the file ------------------------------------------------------------------


def test_a_file_is_read(write: Write) -> None:
    config = Config.load(write(SOUND))
    assert config.sip.listen[1] == Listen("tls", "::1", 0, "lab.example")
    assert config.dialed_numbers[1].pattern == "0017"  # not octal
    assert config.routes[0].to == SipTarget("sip", "", "10.0.0.1", 5060, ";transport=tcp")
    assert config.routes[2].pattern == "2001"
    assert config.icm.scripts["main"][2].action == Release()
    assert config.icm.skill_groups["support"].agents == ("2001",)
    assert config.sip.error_refer
    assert faults(write(SOUND)) == []


def test_plain_text_of_yaml_stays_text(write: Write) -> None:
    config = Config.load(write("server: {name: off}\nicm: {agents: {0x10: {name: 1_000}}}"))
    assert config.server.name == "off"
    assert next(iter(config.icm.agents.values())).name == "1_000"
    assert Config.load(write("health: {public: yes}")).health.public


@pytest.mark.parametrize("text", ["", "# nothing\n", "sip:\nicm:\n", "{}", "null"])
def test_an_empty_file_means_the_defaults(write: Write, text: str) -> None:
    assert Config.load(write(text)) == Config()


def test_tls_gets_its_port_when_there_is_a_certificate(write: Write) -> None:
    config = Config.load(write("sip: {tls: {certificate: cert.pem}}"))
    assert str(config.sip.addresses()[-1]) == "tls:0.0.0.0:5061"
    assert Config().sip.addresses() == Config().sip.listen
    listening = Config.load(write(SOUND)).sip
    assert listening.addresses() == listening.listen


def test_a_slow_t1_takes_t2_with_it() -> None:
    assert Config.load(overrides=["sip.t1=5"]).sip.t2 == 5
    with pytest.raises(ConfigError, match=r"sip.t2: must not be below sip.t1 \(5\)"):
        Config.load(overrides=["sip.t1=5", "sip.t2=4"])


def test_users_are_a_list_or_a_mapping_and_do_not_show() -> None:
    listed = Config.load(overrides=[("api.users", ["ann:pa:ss", "bob:x"])])
    mapped = Config.load(overrides=["api.users.ann=pa:ss", "api.users.bob=x"])
    assert listed == mapped
    assert [(user.name, user.password) for user in listed.api.users] == [
        ("ann", "pa:ss"),
        ("bob", "x"),
    ]
    assert "pa:ss" not in repr(listed)
    with pytest.raises(ConfigError) as caught:
        Config.load(overrides=["api.users=[topsecret]"])
    assert "topsecret" not in str(caught.value)


# -- precedence ----------------------------------------------------------------------------


def test_environment_stands_over_the_file_and_options_over_both(write: Write) -> None:
    path = write("sip: {t1: 0.1, t4: 1}\nserver: {name: file, grace: 1}")
    env = {"CALLSIM_SIP__T1": "0.2", "CALLSIM_SERVER__NAME": "env", "HOME": "/"}
    config = Config.load(path, env, ["server.name=option"])
    assert (config.sip.t1, config.sip.t4, config.server.name) == (0.2, 1, "option")
    assert config.server.grace == 1


def test_options_have_variables_of_their_own() -> None:
    env = {
        "CALLSIM_SIP": "udp:127.0.0.1:0 tcp:127.0.0.1:0",
        "CALLSIM_API": "http://127.0.0.1:0",
        "CALLSIM_USER": "ann:with blank\nbob:x",
        "CALLSIM_ROUTE": "5>=sip:10.0.0.1",
        "CALLSIM_DATA_DIR": "/var/lib/call sim",
        "CALLSIM_GRACE": "3",
        "CALLSIM_SET": "sip.t1=0.1\n health.public=true\n",
    }
    config = Config.load(None, env)
    assert [str(one) for one in config.sip.listen] == ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
    assert config.api.listen == (HttpListen("http", "127.0.0.1", 0),)
    assert [user.password for user in config.api.users] == ["with blank", "x"]
    assert str(config.direct_routes[0].to) == "sip:10.0.0.1"
    assert config.server.data_dir == Path("/var/lib/call sim")
    assert (config.server.grace, config.sip.t1, config.health.public) == (3, 0.1, True)
    assert config.lab.embedded


def test_the_file_may_be_named_by_the_environment(write: Write) -> None:
    path = write("server: {name: there}")
    assert Config.load(None, {"CALLSIM_CONFIG": str(path)}).server.name == "there"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("sip.listen=udp:[::]:5060", ("udp:[::]:5060",)),
        ("sip.listen=[udp:127.0.0.1:1, tcp:127.0.0.1:2]", ("udp:127.0.0.1:1", "tcp:127.0.0.1:2")),
    ],
)
def test_one_value_or_a_list_may_be_set(setting: str, value: tuple[str, ...]) -> None:
    assert tuple(map(str, Config.load(overrides=[setting]).sip.listen)) == value


def test_items_of_lists_may_be_set_and_appended() -> None:
    config = Config.load(
        overrides=[
            "dialed_numbers.1.label=1002",
            "dialed_numbers.9={pattern: 44>, label: 1003}",
            "cdr.url=null",
        ]
    )
    assert config.dialed_numbers[1].label == "1002"
    assert config.dialed_numbers[9].pattern == "44>"
    assert config.cdr.url is None


def test_the_store_may_be_anywhere() -> None:
    assert Config.load(overrides=["cdr.url=sqlite:////tmp/a.db"]).cdr_path == Path("/tmp/a.db")
    assert Config.load(overrides=["server.data_dir=d"]).cdr_path == Path("d/cdr.sqlite")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40@h:5432/d",
        "postgres://h1,h2:5433/d?target_session_attrs=any",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://u@[::1]/d",
    ],
)
def test_the_store_may_be_postgresql(url: str) -> None:
    assert Config.load(overrides=[f"cdr.url={url}"]).cdr.url == url


@pytest.mark.parametrize("url", ["postgresql://u:sec@ret@h/d", "postgresql://u:sec/ret@h/d#ret"])
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as fault:
        Config.load(overrides=[f"cdr.url={url}"])
    assert "ret" not in str(fault.value)
    assert "%40 for @" in str(fault.value)


# -- faults --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:\n  lisen: x", "2: sip.lisen: is not a known key; did you mean 'listen'?"),
        (
            "spi: {}",
            "1: spi: is not a known key; did you mean 'sip' or 'sdp' or 'api'? known here: ",
        ),
        ("nonsense:", "1: nonsense: is not a known key; known here: "),
        ("sip: {t1: abc}", "1: sip.t1: must be a number, not 'abc'"),
        ("sip: {t1: nan}", "1: sip.t1: must be a number, not 'nan'"),
        ("sip: {t1: 0.001}", "1: sip.t1: must be at least 0.01, not '0.001'"),
        ("sip: {t1: 6}", "1: sip.t1: must be at most 5, not '6'"),
        ("sip: [t1]", "1: sip: must be a mapping of audit, authentication, "),
        (
            "sip: {session_timer: {expires: 60}}",
            "1: sip.session_timer.expires: must not be below sip.session_timer.min_se (90)",
        ),
        (
            "sip: {session_timer: {refresher: me}}",
            "1: sip.session_timer.refresher: must be 'auto', 'local' or 'remote', not 'me'",
        ),
        ("sip: {audit: {every: -1}}", "1: sip.audit.every: must be at least 0, not '-1'"),
        ("sip: {listen: []}", "1: sip.listen: must not be empty"),
        ("sip:\n  listen:\n  - udp:h:99999", "3: sip.listen.0: port '99999' is not a number"),
        ("sip: {listen: {a: b}}", "1: sip.listen: must be a list, not a mapping"),
        ("sip: {listen: [udp:h:1, udp:h:1]}", "1: sip.listen.1: udp:h:1 is there twice"),
        ("sip: {listen: tls:h:1}", "1: sip.listen.0: tls:h:1 needs sip.tls.certificate"),
        ("sip: {tls: {certificate: no.pem}}", "1: sip.tls.certificate: there is no file 'no.pem'"),
        ("sip: {tls: {key: cert.pem}}", "1: sip.tls.key: needs sip.tls.certificate beside it"),
        ("api: {listen: ftp://x}", "1: api.listen.0: 'ftp://x' is not http://HOST:PORT"),
        ("api: {users: [ann:x, ann:y]}", "1: api.users: user 'ann' is there twice"),
        ("server: {max_calls: 1.5}", "1: server.max_calls: must be a whole number, not '1.5'"),
        ("server: {max_calls: -2}", "1: server.max_calls: must be at least -1, not '-2'"),
        ("admission: {rate: -1}", "1: admission.rate: must be at least 0, not '-1'"),
        ("admission: {delay: 6}", "1: admission.delay: must be at most 5, not '6'"),
        ("admission: {always: [9-1]}", "1: admission.always.0: pattern '9-1' has '-'"),
        ('server: {name: ""}', "1: server.name: must not be empty"),
        ('server: {name: "a\\r\\nb"}', "1: server.name: 'a\\r\\nb' has a control character"),
        (f"server: {{name: {'x' * 201}}}", "1: server.name: may have at most 200 characters"),
        ("server: {name: [a]}", "1: server.name: must be text, not a list"),
        ("health: {public: maybe}", "1: health.public: must be true or false, not 'maybe'"),
        ("cdr: {url: mysql://h/d}", "1: cdr.url: is neither sqlite:///FILE nor postgresql://USER"),
        ("trace: {hep: tcp:h:1}", "1: trace.hep: 'tcp:h:1' is not udp:HOST:PORT; HEP goes by UDP"),
        ("trace: {hep: udp:h:70000}", "1: trace.hep: port '70000' is not a number from 1 to 65535"),
        ("cdr: {url: postgresql://h}", "1: cdr.url: is neither sqlite:///FILE nor postgresql://"),
        ("transfer: {mode: refr}", "1: transfer.mode: must be 'reinvite' or 'refer', not 'refr'; "),
        ("transfer: {ring_no_answer: 0}", "1: transfer.ring_no_answer: must be more than 0"),
        ("dialed_numbers:\n- {pattern: 1>}", "2: dialed_numbers.0: needs exactly one of 'script'"),
        ("dialed_numbers:\n- label: 1", "2: dialed_numbers.0.pattern: is missing; add it"),
        (
            "dialed_numbers:\n- {pattern: 1>1, label: 1}",
            "2: dialed_numbers.0.pattern: pattern '1>1'",
        ),
        ("dialed_numbers:\n- {pattern: 1, label: '{x}'}", "2: dialed_numbers.0.label: '{x}' may"),
        (
            "dialed_numbers:\n- {pattern: 1, script: mian}\nicm: {scripts: {main: [answer]}}",
            "2: dialed_numbers.0.script: 'mian' is not in icm.scripts; did you mean 'main'?",
        ),
        (
            "routes:\n- 12X=sip:h\n- 12.=sip:h",
            "3: routes.1.pattern: pattern '12.' matches the same numbers as '12X'",
        ),
        ("routes: [12]", "1: routes.0: '12' is not PATTERN=sip:HOST:PORT"),
        (
            "direct_routes: [{pattern: 1, to: sip:h, ring_no_answer: 5}]",
            "1: direct_routes.0.ring_no_answer: is not a known key; known here: pattern, to",
        ),
        ("routes: [12=http://h]", "1: routes.0.to: 'http://h' is not sip:HOST:PORT"),
        ("icm: {scripts: {a: []}}", "1: icm.scripts.a: must not be empty"),
        ("icm:\n scripts:\n  a:\n  - queu: {}", "4: icm.scripts.a.0.queu: is not a known key; did"),
        ("icm: {scripts: {a: [{}]}}", "1: icm.scripts.a.0: needs exactly one of answer, self_"),
        ("icm: {scripts: {a: [queue]}}", "1: icm.scripts.a.0.queue.skill_group: is missing"),
        (
            "icm: {scripts: {a: [{queue: {skill_group: x}}]}}",
            "1: icm.scripts.a.0.queue.skill_group: 'x' is not in icm.skill_groups; declare it "
            "under icm.skill_groups",
        ),
        (
            "icm: {skill_groups: {s: {agents: [1]}}, agents: {2: {}}}",
            "1: icm.skill_groups.s.agents.0: '1' is not in icm.agents; declare it under "
            "icm.agents, "
            "or take one of 2",
        ),
        (
            "icm: {skill_groups: {s: {agents: [1001]}}}",
            "1: icm.skill_groups.s.agents.0: '1001' is not in icm.agents; declare it under "
            "icm.agents",
        ),
        (
            "icm: {skill_groups: {s: {agents: [1001]}}, agents: {1002: {}}}",
            "1: icm.skill_groups.s.agents.0: '1001' is not in icm.agents; did you mean '1002'?",
        ),
        (
            "dialed_numbers: [{pattern: 1, server_group: cucm.lab}]",
            "1: dialed_numbers.0.server_group: 'cucm.lab' is not in server_groups; declare it",
        ),
        ("icm: {scripts: {a: [{answer: {x: 1}}]}}", "0.answer.x: is not a known key; nothing can"),
        ("icm: {agents: {'a b': {}}}", "1: icm.agents.a b: 'a b' is not an extension"),
        ("icm: {vru_label: a-b}", "1: icm.vru_label: 'a-b' is not a VRU label"),
        ("icm: {correlation_ids: {first: 9, last: 9}}", "1: icm.correlation_ids: 'first' must be"),
        ("neighbours: [{component: ICN, url: tcp://h:1}]", "1: neighbours.0.component: must be "),
        ("neighbours: [{component: ICM, url: tcp://h}]", "1: neighbours.0.url: 'tcp://h' is not"),
        ("a: 1\na: 2", "2: a: stands here again, after line 1; keep one"),
        ("[a]: 1", "1: a key must be plain text"),
        ("a: [1", "is not YAML: "),
        ("a: 'x\x00'", "is not YAML: "),
        ("- a", "must be a mapping of admission, api, cdr"),
        ("text", "must be a mapping of admission, api, cdr"),
        ("a: &x [*x]", "1: a."),
    ],
)
def test_a_fault_names_line_key_and_fix(write: Write, text: str, expected: str) -> None:
    path = write(text)
    shown = faults(path)
    assert any(expected in one for one in shown), shown
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))


def test_all_faults_are_told_at_once_in_order_of_lines(write: Write) -> None:
    path = write("sip:\n  t1: x\n  t3: 1\nserver:\n  nam: y\nicm:\n  wait: -1\n")
    assert [problem.line for problem in check_config(path)] == [2, 3, 5, 7]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dialed_numbers: [{pattern: 1, label: rf22}]", "label '22' has no static route"),
        ("dialed_numbers: [{pattern: 4XX, label: '{dnis}'}]", "label '400' has no static route"),
        ("icm: {agents: {2001: {}}}", "icm.agents.2001: label '2001' has no static route"),
        ("icm: {scripts: {a: [{connect: {label: 33}}]}}", "label '33' has no static route"),
        (
            "icm: {scripts: {a: [{self_service: {application: x}}]}}",
            "icm.vru_label: label '777000000099999' has no static route",
        ),
        (
            "icm: {scripts: {a: [answer]}}\n"
            "dialed_numbers: [{pattern: 1, script: a, survival_application: x}]",
            "icm.vru_label: label '777000000099999' has no static route",
        ),
        (
            "routes: [777>=sip:h, 22=sip:h]\n"
            "dialed_numbers: [{pattern: 1, label: 22, survival_application: x}]",
            "dialed_numbers.0.survival_application: is never played: without a script ICM is not",
        ),
        ("icm: {vru_label: 777}", "returns from the VRU would be taken for new calls"),
        (
            "lab: {applications: {menu: [exit]}}",
            "lab.applications: nobody runs them while lab.embedded is false; set it to true",
        ),
    ],
)
def test_a_warning_does_not_keep_from_starting(write: Write, text: str, expected: str) -> None:
    path = write(text)
    (problem,) = check_config(path)
    assert problem.warning
    assert expected in str(problem)
    assert "warning" in str(problem)
    Config.load(path)


GROUP = "server_groups: {Cucm.lab: [10.0.0.1]}\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("routes: [1XXX=sip:cucn.lab]", "routes.0.to"),
        ("routes: [{pattern: 1XXX, to: 'sip:cucmlab:5070'}]", "routes.0.to"),
        ("direct_routes: 1XXX=sip:cucm.labs", "direct_routes.0.to"),
        ("sip: {outbound_proxy: 'sip:cumc.lab'}", "sip.outbound_proxy"),
    ],
)
def test_a_host_that_is_nearly_a_server_group(write: Write, text: str, key: str) -> None:
    (problem,) = check_config(write(GROUP + text))
    assert (problem.line, problem.key, problem.warning) == (2, key, True)
    assert "is looked up in the DNS: no server group; did you mean" in problem.message


@pytest.mark.parametrize(
    "host", ["cucm.lab", "CUCM.lab", "10.0.0.1", "[::1]", "gateway.lab", "sbc.lab", "cucm.example"]
)
def test_a_host_that_is_a_group_or_another_host(write: Write, host: str) -> None:
    assert faults(write(f"{GROUP}routes: ['1XXX=sip:{host}']")) == []


def test_a_label_of_digits_needs_no_route(write: Write) -> None:
    """The gateway takes the call away itself."""
    step = "{connect: {label: 'DTMF*8,,,4441234'}}"
    assert faults(write(f"icm: {{scripts: {{a: [{step}]}}}}")) == []


def test_a_disabled_number_may_repeat_a_pattern(write: Write) -> None:
    number = "{pattern: 1, label: sip:h, enabled: %s}"
    path = write(f"dialed_numbers: [{number % 'false'}, {number % 'true'}]")
    assert faults(path) == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "no such file" in faults(tmp_path / "none.yaml")[0]
    assert "is a directory" in faults(tmp_path)[0]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"server:\n  name: \xe4\n")
    assert faults(latin) == [f"{latin}:2: is not UTF-8 text; save it as UTF-8"]


@pytest.mark.parametrize(
    ("env", "overrides", "expected"),
    [
        ({"CALLSIM_SIP__T1": "9"}, [], "CALLSIM_SIP__T1: sip.t1: must be at most 5, not '9'"),
        ({"CALLSIM_SIP": "udp"}, [], "CALLSIM_SIP: sip.listen.0: 'udp' does not start with"),
        ({"CALLSIM_USR": "x"}, [], "CALLSIM_USR: is not a variable of Callsim; did you mean"),
        ({"CALLSIM_SET": "x"}, [], "CALLSIM_SET: 'x' is not key.path=value"),
        ({}, ["sip.t1"], "--set: 'sip.t1' is not key.path=value"),
        ({}, ["sip.t1=9"], "--set: sip.t1: must be at most 5, not '9'"),
        ({}, ["sip..t1=9"], "--set: sip..t1: is not a key path"),
        ({}, ["lab.embeded=1"], "--set: lab.embeded: is not a known key; did you mean 'embedded'"),
        ({}, ["lab.embeded=1"], "'embedded'? known here: applications, embedded"),
        ({}, ["max_calls=1"], "did you mean 'server.max_calls'? known here: admission, api, cdr, "),
        ({}, ["nothing=1"], "a known key; known here: admission, "),
        ({}, ["nothing=1"], " transfer, variables, vxml"),
        ({}, ["dialed_numbers.99.label=1"], "--set: dialed_numbers.99.label: '99' does not fit"),
        ({}, ["icm.wait.x=1"], "--set: icm.wait.x: 'x' does not fit: the value '0' stands at"),
        ({}, ["sip.listen=[a"], "--set: sip.listen: is not YAML"),
        ({}, [("sip.listen", ["x:1"])], "--sip: sip.listen.0: 'x:1' does not start with udp:"),
        ({}, [("direct_routes", ["5>"])], "--route: direct_routes.0: '5>' is not PATTERN="),
        ({}, [("server.data_dir", "a\0b")], "--data-dir: server.data_dir: 'a\\x00b' has a control"),
        ({}, [("sip.t9", 1)], "--set sip.t9: sip.t9: is not a known key"),
        (
            {},
            ["icm.correlation_ids.first=100000"],
            "--set: icm.correlation_ids: 'first' must be below 'last'",
        ),
        (
            {"CALLSIM_ICM__CORRELATION_IDS__FIRST": "100000"},
            [],
            "CALLSIM_ICM__CORRELATION_IDS__FIRST: icm.correlation_ids: 'first' must be below",
        ),
        (
            {"CALLSIM_SIP__REGISTRAR__MIN_EXPIRES": "900"},
            ["sip.registrar.max_expires=600"],
            "CALLSIM_SIP__REGISTRAR__MIN_EXPIRES, --set: sip.registrar: max_expires must not be",
        ),
        ({}, ["dialed_numbers.9.label=1"], "--set: dialed_numbers.9.pattern: is missing; add it"),
        ({}, ["dialed_numbers.0.label=1"], "--set: dialed_numbers.0: needs exactly one of"),
        ({}, ["icm.agents={}"], "--set: icm.skill_groups.support.agents.0: '1001' is not in"),
        ({"CALLSIM_SET": "icm.agents={}"}, [], "CALLSIM_SET: icm.skill_groups.support.agents.0:"),
        ({}, [("server.grace", 1), "icm.scripts={}"], "--grace, --set: dialed_numbers.0.script: "),
    ],
)
def test_a_fault_names_the_variable_or_option(
    env: dict[str, str], overrides: list[Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(None, env, overrides)
    assert expected in str(caught.value)


def test_a_fault_of_the_file_that_an_option_may_have_made_names_both(write: Write) -> None:
    path = write("icm:\n  correlation_ids: {last: 9}\nserver: {grace: 1}\n")
    with pytest.raises(ConfigError) as caught:
        Config.load(path, overrides=["icm.correlation_ids.first=10", "sip.t1=1"])
    assert str(caught.value) == (
        f"{path}:2: icm.correlation_ids: 'first' must be below 'last' (with --set)"
    )


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!,#'\"\n \tsip>0"), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_makes_the_check_fail(write: Write, text: str) -> None:
    check_config(write(text))


def test_a_bomb_of_aliases_is_refused(write: Write) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
    shown = faults(write(f"l0: &l0 [x]\n{levels}"))
    assert any("too deep or too large" in one for one in shown)


# -- addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp:0.0.0.0:5060", Listen("udp", "0.0.0.0", 5060)),
        ("TCP:localhost", Listen("tcp", "localhost", 5060)),
        ("tls:10.0.0.1", Listen("tls", "10.0.0.1", 5061)),
        ("udp:[::]:0", Listen("udp", "::", 0)),
        ("udp:h:5060;advertise=1.2.3.4", Listen("udp", "h", 5060, "1.2.3.4")),
        ("udp:h:5060;Advertise=[2001:DB8::1]", Listen("udp", "h", 5060, "2001:db8::1")),
    ],
)
def test_a_listen_address_is_read(text: str, expected: Listen) -> None:
    assert Listen.parse(text) == expected
    assert Listen.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "udp", "udp:", "sctp:h:1", "udp:h:x", "udp:h:-1", "udp:h:65536", "udp:::1:5060"),
        *("udp:[::1:5060", "udp:[h]:1", "udp:1.2.3.256:1", "udp:a b:1", "udp:-h:1", "udp:h:1;x=1"),
        *("udp:h:1;advertise=", "udp:h:1;advertise=a;advertise=b", "udp:h:٣"),
    ],
)
def test_a_wrong_listen_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Listen.parse(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sip: {listen: 'udp:[fe80::1%eth0]:5060'}", "sip.listen.0"),
        ("sip: {listen: 'udp:[::]:5060;advertise=fe80::1%eth0'}", "sip.listen.0"),
        ("sip: {nameservers: '[fe80::1%eth0]:53'}", "sip.nameservers.0"),
        ("sip: {outbound_proxy: 'sip:[fe80::1%eth0]'}", "sip.outbound_proxy"),
        ("sip: {outbound_proxy: 'sip:[fe80::1%25eth0]:5060'}", "sip.outbound_proxy"),
        ("sip: {authentication: {trusted: 'fe80::1%eth0'}}", "sip.authentication.trusted.0"),
        ("api: {listen: 'http://[fe80::1%eth0]:8080'}", "api.listen.0"),
        ("server_groups: {cucm: ['[fe80::1%eth0]']}", "server_groups.cucm.servers.0"),
        ("server_groups: {cucm: [{host: 'fe80::1%eth0'}]}", "server_groups.cucm.servers.0.host"),
        (
            "headers: {rules: [{destinations: 'fe80::%1/64', drop: X-A}]}",
            "headers.rules.0.destinations.0",
        ),
        ("neighbours: [{component: ICM, url: 'tcp://[fe80::1%1]:5000'}]", "neighbours.0.url"),
    ],
)
def test_an_address_with_a_zone_is_refused(write: Write, text: str, key: str) -> None:
    (problem,) = check_config(write(text))
    assert problem.key == key
    assert "has a zone (what follows %), which means nothing to other machines" in problem.message


@pytest.mark.parametrize(
    "text", ["sip:h", "sips:h:5061", "sip:bob@[::1]:5060;transport=tcp", "sip:%2B49;x=y@h;lr"]
)
def test_a_sip_target_is_read_and_written(text: str) -> None:
    assert str(SipTarget.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("h", "sip:", "sip:@h", "http://h", "sip:h:0", "sip:h?Replaces=1", "sip:a@b@h", "sip:h;;"),
        *("sip:h\r\nX: y", "sip:a b@h", "<sip:h>", "sip:a%0d%0a@h", "sip:a%zz@h", "sip:u:p@h"),
        *("sip:h;lr;LR", "sip:h;transport=ws", 'sip:"x"@h', "sip:a%00@h", "sip:h;a=\u2028"),
    ],
)
def test_a_wrong_sip_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        SipTarget.parse(text)


@pytest.mark.parametrize(
    ("number", "user"),
    [
        ("1001", "1001"),
        ("+49#1", "+49%231"),
        ("a b", "a%20b"),
        ("ä", "%C3%A4"),
        ("a@b:c", "a%40b%3Ac"),
    ],
)
def test_a_number_becomes_a_user_part(number: str, user: str) -> None:
    target = SipTarget.parse("sip:h:5070;transport=tls").with_user(number)
    assert str(target) == f"sip:{user}@h:5070;transport=tls"
    assert target.number == number
    assert target.with_user("other") == target


@pytest.mark.parametrize("url", ["sip:h:5060", "tcp://[::1]:5000", "http://h/cvp?a=b", "https://h"])
def test_a_probe_takes_the_url(url: str) -> None:
    assert check_probe_url(url) == url


@pytest.mark.parametrize(
    "url", ["h:1", "tcp://h", "tcp://h:1/x", "ftp://h", "http://", "http://a b"]
)
def test_a_probe_refuses_the_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_probe_url(url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="holds a user or password") as caught:
        check_probe_url("http://user:secret@host/")
    assert "secret" not in str(caught.value)


ACCOUNTS = """
sip:
  authentication: {users: {"1001": pass-a}, methods: [invite, bye], trusted: 10.0.0.1}
  credentials:
    - {user: u, password: pass-b, realm: "r, \\"x\\""}
    - {user: v, password: "1", peer: "[::1]"}
  trunks: [{registrar: "sip:c.example", aor: "sip:+49301@c.example", password: pass-c}]
"""


def test_accounts_are_read_and_written_but_not_shown(write: Write) -> None:
    config = Config.load(write(ACCOUNTS))
    assert config.sip.authentication.methods == ("INVITE", "BYE")
    assert config.sip.authentication.trusted == ("10.0.0.1/32",)
    assert [str(one.password) for one in config.sip.credentials] == ["pass-b", "1"]
    assert config.sip.credentials[1].peer == "::1"
    assert config.sip.trunks[0].aor.number == "+49301"
    assert "pass-" not in repr(config)
    assert Config.load(write(config.to_yaml())) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("credentials: [{user: u, password: secret}]", "credentials.0: needs 'realm' or 'peer'"),
        ("credentials: [secret]", "credentials.0: must be a mapping of password, peer, realm"),
        ("credentials: [{user: u, password: '', realm: r}]", "credentials.0.password: must be te"),
        ("credentials: [{user: u, realm: r, password: s, peer: '-'}]", "peer: '-' is not a host"),
        ("trunks: [{registrar: 'sip:c', aor: 'sip:c'}]", "trunks.0.aor: sip:c names no user"),
        ("trunks: ['sip:c']", "trunks.0: must be a mapping of aor, expires, password, registrar"),
        ("authentication: {methods: [ACK]}", "methods.0: ACK cannot be challenged"),
        ("authentication: {methods: [CALL]}", "methods.0: 'CALL' is not one of INVITE, "),
        ("authentication: {algorithms: [SHA1]}", "algorithms.0: must be 'MD5', 'SHA-256' or "),
        ("authentication: {trusted: [here]}", "trusted.0: 'here' is not an IP address"),
        ("authentication: {users: [secret]}", "users.0: must be NAME:PASSWORD"),
        ("registrar: {min_expires: 600, max_expires: 60}", "registrar: max_expires must not be"),
        ("registrar: {numbers: ['1?']}", "registrar.numbers.0: "),
        ("registrar: {numbers: [1XXX, 1...]}", "registrar.numbers: pattern '1...' matches "),
    ],
)
def test_a_fault_in_the_accounts(write: Write, text: str, expected: str) -> None:
    shown = faults(write(f"sip: {{{text}}}"))
    assert any(expected in one for one in shown), shown
    assert not any("secret" in one for one in shown)


def test_watchers_are_addresses_or_networks(write: Write) -> None:
    assert any(
        "watchers.0: 'everyone' is not an IP" in one
        for one in faults(write("events: {watchers: [everyone]}"))
    )
    networks = Config.load(write("events: {watchers: [10.0.0.0/8, '2001:db8::1']}")).events.watchers
    assert networks == ("10.0.0.0/8", "2001:db8::1/128")
    assert covers(networks, "10.9.9.9")
    assert covers(networks, "2001:db8::1%eth0")
    assert not covers(networks, "127.0.0.1")
    assert covers(("*",), "127.0.0.1")


def test_what_networks_cover() -> None:
    networks = ("10.1.0.0/16", "10.2.3.4/32", "192.0.2.128/25", "2001:db8::/32", "::1/128")
    inside = "10.1.255.255", "10.2.3.4", "192.0.2.128", "2001:db8:ffff::1", "::1"
    outside = "10.2.0.0", "10.2.3.5", "192.0.2.127", "2001:db9::", "::", "0.0.0.1"
    assert all(covers(networks, host) for host in inside)
    assert not any(covers(networks, host) for host in outside)
    assert covers(("0.0.0.0/0",), "203.0.113.1")
    assert not covers(("0.0.0.0/0",), "::1"), "another version of IP"
    assert not covers((), "10.0.0.1")
