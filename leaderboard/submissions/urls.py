"""Addresses of submissions and runs, and of the pages of a pair that are about runs too."""

from django.urls import path

from leaderboard.submissions.views import (
    exposure,
    graders,
    models,
    notifications,
    pairs,
    quotas,
    release,
    runs,
    status,
    submit,
)

urlpatterns = [
    path("submit/", submit.submit, name="submit"),
    path("mine/", submit.mine, name="mine"),
    path("quotas/", quotas.quotas, name="quotas"),
    path("commitments/", submit.commitments, name="commitments"),
    path("accounts/notifications/", notifications.notifications, name="notifications"),
    path("organisations/<str:name>/webhooks/", notifications.webhooks, name="webhooks"),
    path(
        "organisations/<str:name>/webhooks/<int:webhook>/remove/",
        notifications.remove_webhook,
        name="remove-webhook",
    ),
    path(
        "organisations/<str:name>/webhooks/<int:webhook>/ping/",
        notifications.ping_webhook,
        name="ping-webhook",
    ),
    path("status/", status.status, name="status"),
    path("runs/<uuid:run_id>/", runs.run, name="run"),
    path("runs/<uuid:run_id>/progress/", runs.progress, name="run-progress"),
    path("runs/<uuid:run_id>/cancel/", runs.cancel, name="cancel-run"),
    path("runs/<uuid:run_id>/continue/", runs.continue_run, name="continue-run"),
    path("runs/<uuid:run_id>/requeue/", runs.requeue, name="requeue-run"),
    path("runs/<uuid:run_id>/retract/", runs.retract, name="retract-run"),
    path("runs/<uuid:run_id>/grade-again/", graders.grade_again, name="grade-again"),
    path("models/<str:name>/settings/", models.model_settings, name="model-settings"),
    path("models/<str:name>/rename/", models.rename_model, name="rename-model"),
    path("models/<str:name>/transfer/", models.offer_transfer, name="offer-transfer"),
    path("transfers/<int:transfer>/accept/", models.accept_transfer, name="accept-transfer"),
    path("transfers/<int:transfer>/end/", models.end_transfer, name="end-transfer"),
    path("sets/<slug:slug>/graders/", graders.graders, name="set-graders"),
    path("sets/<slug:slug>/graders/switch/", graders.switch, name="switch-grader"),
    path("sets/register/pair/", pairs.register_pair, name="register-pair"),
    path("sets/<slug:slug>/", pairs.set_pair, name="set-pair"),
    path("sets/<slug:slug>/registered/", pairs.registered, name="pair-registered"),
    path("sets/<slug:slug>/withdraw/", pairs.withdraw_pair, name="withdraw-pair"),
    path("sets/<slug:slug>/exposure/", exposure.exposure, name="set-exposure"),
    path("sets/<slug:slug>/release/", release.release, name="set-release"),
    path("sets/<slug:slug>/release/evidence.json", release.evidence, name="release-evidence"),
    path("sets/<slug:slug>/release/propose/", release.propose, name="propose-release"),
    path("sets/<slug:slug>/release/withdraw/", release.withdraw, name="withdraw-release"),
]
