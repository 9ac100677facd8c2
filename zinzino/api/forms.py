"""What was sent, judged by a serializer of Django REST framework."""

import threading
from typing import Any

from rest_framework.serializers import BaseSerializer


class Kept(threading.local):
    """The serializers that a thread has used: a new one copies each of its fields, a tenth of a short request."""

    def __init__(self) -> None:
        self.forms: dict[type[BaseSerializer[Any]], Any] = {}


kept = Kept()


def filled_in(
    serializer: type[BaseSerializer[Any]], given: Any, context: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The validated data. Raises ValidationError with every failing field.

    A form that has found a fault is not kept: its validators would say it for ever in this reader's language.
    """
    form: Any = kept.forms.pop(serializer, None) or serializer()
    form.initial_data, form._context = given, context or {}
    try:
        form.is_valid(raise_exception=True)
        data: dict[str, Any] = form.validated_data
    finally:
        # A form is a circle, with its fields: it would hold the body until the garbage collector comes.
        form.initial_data, form._context = None, {}
    del form._validated_data, form._errors
    kept.forms[serializer] = form
    return data
