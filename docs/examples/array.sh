#!/bin/bash
# One comparison by an array of jobs: every task of the array runs this, with the same words.
#   PPO_LAB_STORAGE=postgresql://lab@db.example/runs sbatch docs/examples/array.sh --algos …
# The password belongs into ~/.pgpass, or into PGPASSWORD of the job's environment.
#SBATCH --job-name=compare
#SBATCH --array=0-31
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -eu
: "${PPO_LAB_STORAGE:?the URL of the database that the tasks share}"
# SLURM_CPUS_PER_TASK, or what another scheduler calls it.
exec python -m ppo_lab.compare "$@" \
  --jobs "${SLURM_CPUS_PER_TASK:-${NSLOTS:-${PBS_NP:-1}}}" \
  --storage "$PPO_LAB_STORAGE"
