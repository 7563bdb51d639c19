"""Service numbers at work: error, whisper, greeting."""

from scenarios.flows import Stage, flow
from scenarios.flows.plan import OTHERWISE

SURVIVES = 'Remote-Party-ID: "5551234--CVP" <sip:5551234@example.com>;party=calling\r\n'


@flow(**OTHERWISE)
def error_number_by_302(stage: Stage) -> None:
    """A call fails before its answer: the caller is redirected to the error number by 302."""
    stage.dial("9486")


@flow(**OTHERWISE)
def error_number_by_refer(stage: Stage) -> None:
    """The label after self-service is busy, and the caller is answered already: REFER to the
    error number, whose message the caller's gateway plays.
    """
    caller = stage.dial("7400")
    stage.until(lambda: "REFER" in [r.method for r in caller.requests], "REFER")
    caller.accept_refer()
    stage.rest("the caller calls the error number")
    caller.notify(200)
    stage.settle()
    caller.hang_up()


@flow(**OTHERWISE)
def survivability(stage: Stage) -> None:
    """The caller's gateway has survivability, which --CVP in Remote-Party-ID says: it gets the
    code of the failure, and rescues the call by itself.
    """
    stage.dial("9486", lines=SURVIVES)


@flow()
def whisper(stage: Stage) -> None:
    """The agent has answered and hears an announcement first, while the caller hears ringback
    on; then both are joined.
    """
    caller = stage.dial("7970")
    announcement = stage.line("9191919100")
    stage.pause(0.3)
    announcement.hang_up()
    stage.reach("connected")
    caller.hang_up()


@flow()
def greeting(stage: Stage) -> None:
    """The agent's greeting is one more call to the voice browser, once both are joined."""
    caller = stage.dial("7980")
    announcement = stage.line("9191919101")
    stage.pause(0.3)
    announcement.hang_up()
    stage.settle()
    caller.hang_up()
