"""Addresses of accounts."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from leaderboard.accounts import views

urlpatterns = [
    path("accounts/sign-in/", views.SignIn.as_view(), name="login"),
    path("accounts/sign-out/", LogoutView.as_view(), name="logout"),
    path("accounts/sign-up/", views.sign_up, name="sign-up"),
    path("accounts/tokens/", views.tokens, name="tokens"),
    path("accounts/tokens/<int:token>/revoke/", views.revoke, name="revoke-token"),
]
