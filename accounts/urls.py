from accounts.views import LoginViewSet, LogoutViewSet, ProfileViewSet, RegisterViewSet
from zinzino.api.views import route

urlpatterns = [
    route("auth/register", RegisterViewSet, "auth-register", post="create"),
    route("auth/login", LoginViewSet, "auth-login", post="create"),
    route("auth/refresh", LoginViewSet, "auth-refresh", post="refresh"),
    route("auth/logout", LogoutViewSet, "auth-logout", post="create"),
    route("profile", ProfileViewSet, "profile", get="retrieve", put="update"),
]
