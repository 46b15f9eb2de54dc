"""The ledger's addresses."""

from django.urls import path

from leaderboard.ledger import views

urlpatterns = [
    path("ledger/", views.ledger, name="ledger"),
    path("ledger/<slug:evaluator>/<int:index>/", views.line, name="ledger-line"),
]
