"""The common interface of the stacks in containers, compose's and Kubernetes'."""

from typing import Protocol

from ringfence_local.demo.sample import Watchable


class DeployedStack(Watchable, Protocol):
    """A stack in containers."""

    @property
    def api_urls(self) -> list[str]: ...  # of each replica that runs now
