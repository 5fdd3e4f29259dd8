#!/bin/sh
# A backup before each deployment, for any CI or by hand: the step before the migrations. It ends before they may
# start, and without a backup there is no deployment. DATABASE_URL, BACKUP_REPOSITORY and BACKUP_ENCRYPTION_KEY come
# from the CI's secrets.
set -eu

revision=${GITHUB_SHA:-${CI_COMMIT_SHA:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}}

status=0
lifeboat backup --pre-deploy "$(printf %.12s "$revision")" --if-running=wait=10m --timeout 30m || status=$?
case $status in
  0) ;;
  # It is stored and held; but a file changed meanwhile, say, or a right was missing. Remove this line to stop there too.
  3) echo "the backup was taken, with warnings: see above" >&2 ;;
  *)
    echo "no backup (exit code $status): not deploying" >&2
    exit "$status"
    ;;
esac
