from django.apps import AppConfig
from django.contrib.admin import apps as django_admin


class BackofficeConfig(AppConfig):
    default = True
    name = "backoffice"
    verbose_name = "Back office"

    def ready(self) -> None:
        from backoffice import words

        words.put_in()


class AdminConfig(django_admin.AdminConfig):
    """Django's admin on our own site; the apps register their models at `admin.site` as everywhere."""

    # Not what `"backoffice"` in INSTALLED_APPS means.
    default = False
    default_site = "backoffice.site.BackOfficeSite"
