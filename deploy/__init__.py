"""Deploys a checkout to a cluster, in steps that can also run alone (`python -m deploy STEP --env ENV`).

    preflight ▶ terraform ▶ facts ▶ images ▶ platform ▶ models ▶ credentials ▶ overlay ▶ readiness ▶ smoke ▶ summary

Steps exchange files in `.deploy/ENV/` (outputs.json, images.json, …), never Python objects. The state file records
each completed step with the digest of its inputs (state.py). A failed run therefore resumes at the failed step, and a
run without changes does nothing. docs/deploy.md describes each step and the recovery.

This module imports nothing: `python -m deploy.addons.install` needs the standard library only.
"""
