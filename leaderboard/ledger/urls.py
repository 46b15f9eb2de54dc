"""The ledger's address."""

from django.urls import path

from leaderboard.ledger import views

urlpatterns = [path("ledger/", views.ledger, name="ledger")]
