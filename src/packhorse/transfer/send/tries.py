"""Another try of a part or not: the status decides, and the receiver's words where they say more."""

from __future__ import annotations

import random

from packhorse.errors import PackhorseError, ProtocolError, RemoteError
from packhorse.net.redirect import same_origin
from packhorse.net.retry import RetryPolicy, Verdict, judge_error
from packhorse.transfer.outgoing import Receiver
from packhorse.transfer.tries import MAX_RENEWALS, BaseTries, Refused, plain_error

__all__ = ["PartTries", "judge_refusal"]


def judge_refusal(
    verdict: Verdict, error: PackhorseError, *, attempt: int, policy: RetryPolicy, jitter: float
) -> Verdict:
    """What to do about a refused part: ``verdict`` is the status's, ``error`` what the receiver explained. Pure.

    An overloaded server is waited for whatever it says. Else an error that says more than its status, and not that
    another try makes sense, ends it; one that does say so gets its tries.
    """
    if verdict.action == "retry" and verdict.slow_down:
        return verdict
    if error.retryable or isinstance(error, ProtocolError):
        return (
            verdict if verdict.action == "retry" else judge_error(error, attempt=attempt, policy=policy, jitter=jitter)
        )
    if verdict.action == "retry" and type(error) is RemoteError:
        return verdict
    return Verdict("fail")


class PartTries(BaseTries):
    """The tries of one part."""

    async def after_refusal(self, refused: Refused, receiver: Receiver) -> None:
        """Renew, wait, or raise what the receiver says that the refusal means."""
        head = refused.head
        verdict = self.judge(head, refused.request.url)
        if (
            head.status in (400, 401, 403)
            and self.renewals < MAX_RENEWALS
            and same_origin(head.url, refused.request.url)
        ):
            self.renewals += 1
            if await receiver.renew(refused.request, head, refused.body):
                self.attempt -= 1
                return
        error = plain_error(await receiver.explain(head, refused.body), head)
        decided = judge_refusal(verdict, error, attempt=self.attempt, policy=self.policy, jitter=random.random())
        await self.wait(decided, f"http-{head.status}", str(error), error)
