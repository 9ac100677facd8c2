from django.apps import AppConfig


class Late(AppConfig):
    name = "tests.operations.late"
    label = "late"
