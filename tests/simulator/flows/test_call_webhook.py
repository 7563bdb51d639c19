"""A script that asks a webhook: the call goes on meanwhile, and without it."""

from typing import Any

import pytest

from simulator.script import Step
from simulator.treatment import Treatment
from simulator.views import ConnectionView
from tests.simulator.flows.conftest import Build
from tests.simulator.flows.phones import Manner
from tests.simulator.flows.test_call_scripts import graph, result, steps
from tests.simulator.flows.test_call_treatment import agents
from tests.simulator.flows.world import World


class VirtualWebhook:
    """Answers each question `delay` seconds later with the next of `answers`.

    An answer that is text is a problem; without any it is not to be asked.
    """

    host = ""

    def __init__(self, world: World, *answers: dict[str, Any] | str, delay: float = 0.1) -> None:
        self.world = world
        self.answers = list(answers)
        self.delay = delay
        self.asked: list[str] = []
        self.taken: list[bool] = []
        world.server.webhook = self

    def ask(self, treatment: Treatment, cause: str, now: float) -> int:
        if not self.answers:
            return 0
        self.asked.append(cause)
        question = len(self.asked)
        wheel = self.world.stack.endpoint.wheel
        wheel.start(now, self.delay, Pending(self, treatment, question, self.answers.pop(0)), 0)
        return question

    def view(self, _address: str) -> ConnectionView | None:
        return None


class Pending:
    def __init__(self, hook: VirtualWebhook, treatment: Treatment, question: int, answer: Any):
        self.hook = hook
        self.treatment = treatment
        self.question = question
        self.answer = answer

    def timer_fired(self, _what: int, now: float) -> None:
        problem = self.answer if isinstance(self.answer, str) else ""
        step = None if problem else Step.model_validate(self.answer)
        taken = self.treatment.instructed(self.question, step, problem, now)
        self.hook.taken.append(taken)
        self.hook.world.stack.pump(now)


def plan(**nodes: Any) -> dict[str, Any]:
    icm = {"webhook": {"url": "http://127.0.0.1:9/"}, **agents(a1001=1)}
    return graph(icm=icm, ask="webhook", **(nodes or {"fallback": {"label": "1002"}}))


def test_each_decision_is_asked_for(build: Build) -> None:
    world = build(**plan())
    hook = VirtualWebhook(
        world,
        {"set": {"callVariable1": "{dnis}"}},
        {"run_application": {"application": "menu"}},
        {"run_application": {"application": "survey", "seconds": 2}},
        {"queue": {"skill_group": "support", "seconds": 5}},
        {"label": "9486"},
        {"label": "1003"},
    )
    world.server.desk.set_state("1001", "logged_out")
    caller = world.dial("3000")
    world.run(0.5)
    assert result(world, result="1")
    world.run(10.0)
    assert (world.state, world.call.icm_label) == ("connected", "1003")
    assert hook.asked == [
        "new_call",
        "instruction",
        "application_result",
        "application_timeout",
        "queue_timeout",
        "requery",
    ]
    assert hook.taken == [True] * 6
    assert steps(world)[0] == "ask webhook: set"
    caller.hang_up()


def test_a_call_may_go_on_in_the_script(build: Build) -> None:
    world = build(
        **plan(
            fallback={"label": "1002"},
            menu={"run_application": {"application": "menu"}},
            end={"label": "1003"},
        )
    )
    VirtualWebhook(world, {"set": {"user.x": "y"}, "next": "menu"})
    caller = world.dial("3000")
    world.run(0.5)
    assert world.call.application == "menu"
    result(world, result="1")
    world.run(1.5)
    assert world.call.icm_label == "1003"
    caller.hang_up()


@pytest.mark.parametrize("answer", ["no answer within 2 s", {"percent": {"nowhere": 100}}])
def test_the_script_takes_over(build: Build, answer: Any) -> None:
    world = build(**plan())
    VirtualWebhook(world, answer)
    caller = world.dial("3000")
    world.run(2.0)
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    assert steps(world)[0].startswith("ask webhook: ")
    caller.hang_up()


def test_a_skill_group_that_is_unknown(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """No queue is made up in which nobody would ever serve the call."""
    world = build(**plan())
    VirtualWebhook(world, {"queue": {"skill_group": "suport"}})
    caller = world.dial("3000")
    world.run(2.0)
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    problem = "'suport' is no skill group; there are support"
    assert steps(world)[0] == f"ask webhook: {problem}"
    assert problem in caplog.text
    caller.hang_up()


def test_a_webhook_that_is_not_to_be_asked(build: Build) -> None:
    world = build(**plan())
    VirtualWebhook(world)
    caller = world.dial("3000")
    world.run(2.0)
    assert world.call.icm_label == "1002"
    assert steps(world) == ["ask webhook: not asked, goes on without"]
    caller.hang_up()


def test_the_caller_leaves_while_it_is_asked(build: Build) -> None:
    """The late answer changes nothing."""
    world = build(**plan())
    hook = VirtualWebhook(world, {"label": "1003"}, delay=5.0)
    caller = world.dial("3000")
    world.run(1.0)
    assert world.state == "ringing"
    assert world.sent("100 INVITE"), "the caller knows that we are at work"
    assert caller.statuses == []
    caller.cancel()
    world.run(6.0)
    assert hook.taken == [False]
    assert world.cdr.call_result == "abandoned"
    assert not world.agents.lines
    world.over()


def test_a_transfer_while_it_is_asked(build: Build) -> None:
    """The answer waits for the outcome; here the transfer fails."""
    world = build(**plan())
    world.agents.manners["1002"] = Manner(ring=0.0, answer=2.0, refuse=486)
    VirtualWebhook(world, {"run_application": {"application": "menu"}}, {"label": "1003"})
    caller = world.dial("3000")
    world.run(0.5)
    assert result(world, result="1")
    world.transfer("1002")
    world.run(1.0)
    assert world.state == "transferring"
    world.run(4.0)
    assert (world.state, world.call.icm_label) == ("connected", "1003")
    caller.hang_up()


def test_an_answer_after_a_transfer_is_late(build: Build) -> None:
    world = build(**plan())
    hook = VirtualWebhook(world, {"run_application": {"application": "m"}}, {"label": "1003"})
    caller = world.dial("3000")
    world.run(0.5)
    hook.delay = 5.0
    assert result(world, result="1")
    world.transfer("1002")
    world.run(8.0)
    assert hook.taken == [True, False]
    assert world.state == "connected"
    assert world.call.transfer_destination == "1002"
    caller.hang_up()


def test_a_webhook_that_sets_for_ever(build: Build) -> None:
    world = build(**plan())
    hook = VirtualWebhook(world, *({"set": {"user.x": "y"}} for _ in range(2000)), delay=0.01)
    caller = world.dial("3000")
    world.run(60.0)
    assert caller.statuses == [404]
    assert len(hook.asked) <= 501
    world.over()


def test_one_that_names_only_what_fails_is_asked_four_times(build: Build) -> None:
    world = build(**plan(fallback={"label": "1002"}))
    hook = VirtualWebhook(world, *[{"label": "9486"}] * 20)
    caller = world.dial("3000")
    world.run(10.0)
    assert hook.asked == ["new_call", "requery", "requery", "requery"]
    assert (world.state, world.call.icm_label) == ("connected", "1002")
    caller.hang_up()
