#!/bin/sh
# A backup before each deployment, for GitHub Actions, GitLab CI or any other shell. Run it as the step
# before the migrations: it ends before they start, and without a backup there is no deployment.
# DATABASE_URL, BACKUP_REPOSITORY and BACKUP_ENCRYPTION_KEY come from the CI's secrets.
set -eu

revision=${GITHUB_SHA:-${CI_COMMIT_SHA:-unknown}}
short=$(printf %.12s "$revision")

status=0
lifeboat backup database --label "before the deployment of $short" --tag pre-deploy --if-running=wait=10m --timeout 30m || status=$?
case $status in
  0) ;;
  3) echo "the backup was taken, with warnings: see above" >&2 ;;
  *)
    echo "no backup (exit code $status): not deploying" >&2
    exit "$status"
    ;;
esac

# What to type if the deployment goes wrong.
lifeboat list --tag pre-deploy --limit 1
echo "to go back: lifeboat restore <the id above> --only database --into-live"
