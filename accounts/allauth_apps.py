"""The one part of allauth that has to be taken differently."""

from allauth.account.apps import AccountConfig


class AddressTables(AccountConfig):
    """Its account app without the middleware that it insists on: links need its models, nothing its views."""

    def ready(self) -> None:
        pass
