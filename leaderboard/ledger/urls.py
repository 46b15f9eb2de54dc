"""The ledger's addresses."""

from django.urls import path

from leaderboard.ledger import views

urlpatterns = [
    path("verify_log.py", views.verifier, {"name": "verify_log.py"}, name="verify-log"),
    path("verify_release.py", views.verifier, {"name": "verify_release.py"}, name="verify-release"),
    path("ledger/", views.ledger, name="ledger"),
    path("ledger/<slug:evaluator>/<int:index>/", views.line, name="ledger-line"),
]
