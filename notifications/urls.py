from notifications.phone_views import PhonesViewSet, SettingsViewSet, TrialViewSet
from notifications.views import NotificationsViewSet, NotificationViewSet
from zinzino.api.views import route

urlpatterns = [
    route("notifications", NotificationsViewSet, "notifications", get="list", delete="destroy_read"),
    route("notifications/unread-count", NotificationsViewSet, "notifications-unread", get="unread_count"),
    route("notifications/read-all", NotificationsViewSet, "notifications-read-all", put="read_all"),
    route("notifications/mark-all-read", NotificationsViewSet, "notifications-mark-all-read", post="read_all"),
    route("notifications/settings", SettingsViewSet, "notification-settings", get="retrieve", put="update"),
    route("notifications/push-tokens", PhonesViewSet, "push-tokens", get="list", post="create"),
    route("notifications/push-tokens/<id:push_token_id>", PhonesViewSet, "push-token", delete="destroy"),
    route("notifications/test", TrialViewSet, "notifications-test", post="create"),
    route("notifications/deliveries/<id:delivery_id>", TrialViewSet, "push-delivery", get="retrieve"),
    route(
        "notifications/<id:notification_id>", NotificationViewSet, "notification", get="retrieve", delete="destroy"
    ),
    route("notifications/<id:notification_id>/read", NotificationViewSet, "notification-read", put="read"),
]
