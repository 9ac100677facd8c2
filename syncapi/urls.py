from django.urls import path

from syncapi.account_views import AccountViewSet, DeletionViewSet, ExportViewSet, download
from syncapi.realtime_views import TicketViewSet
from syncapi.views import GuardedDeviceViewSet, SyncViewSet
from zinzino.api.views import route

urlpatterns = [
    route("sync/full", SyncViewSet, "sync-full", post="full"),
    route("sync/delta", SyncViewSet, "sync-delta", post="delta"),
    route("realtime/ticket", TicketViewSet, "realtime-ticket", post="create"),
    route("sync/status", SyncViewSet, "sync-status", get="status"),
    route(
        "devices/<id:device_id>", GuardedDeviceViewSet, "device", get="retrieve", put="update", delete="destroy"
    ),
    route("profile", AccountViewSet, "profile", get="retrieve", put="update", delete="destroy"),
    route("profile/delete", DeletionViewSet, "profile-delete", post="create"),
    route("profile/export", ExportViewSet, "profile-export", post="create"),
    route("profile/export/<id:export_id>", ExportViewSet, "profile-export-one", get="retrieve"),
]

# Not below the API's mounts: the address alone is enough.
download_urlpatterns = [
    path("exports/<id:export_id>/<str:signature>", download, name="export-download"),
]
