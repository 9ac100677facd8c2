"""Our pages beside Django's: route, view, name, and whether one has to be signed in."""

from collections.abc import Callable
from typing import Any

from django.views.i18n import set_language

from backoffice import app_view, customer_views, exports, report_views, second_factor_views

ROUTES: tuple[tuple[str, Callable[..., Any], str, bool], ...] = (
    ("language/", set_language, "set_language", False),
    ("second-step/", second_factor_views.second_step, "second_step", False),
    ("second-factor/", second_factor_views.own_factor, "own_factor", True),
    ("customers/<uuid:user_id>/", customer_views.customer, "customer", True),
    ("customers/<uuid:user_id>/app/", app_view.app_view, "app_view", True),
    ("customers/<uuid:user_id>/report/", report_views.customer_report, "customer_report", True),
    ("customers/<uuid:user_id>/<str:name>/", customer_views.customer_action, "customer_action", True),
    ("fleet/", report_views.fleet, "fleet", True),
    ("export/<str:app>/<str:model>/", exports.export, "export", True),
    ("dispensers/<uuid:device_id>/", customer_views.dispenser, "dispenser", True),
    ("dispensers/<uuid:device_id>/<str:name>/", customer_views.dispenser_action, "dispenser_action", True),
)
