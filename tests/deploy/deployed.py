"""What a stack in containers is to those who look at it: compose's or Kubernetes'."""

from typing import Protocol

from ringfence_local.demo.sample import Watchable


class DeployedStack(Watchable, Protocol):
    """A stack in containers, as these proofs look at it."""

    @property
    def api_urls(self) -> list[str]: ...  # of each replica that runs now
