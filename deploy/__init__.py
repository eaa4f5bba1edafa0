"""From a checkout to a serving cluster: small steps, each can be run alone (`python -m deploy STEP --env ENV`).

    preflight ▶ terraform ▶ facts ▶ images ▶ platform ▶ models ▶ overlay ▶ readiness ▶ smoke ▶ summary

Steps hand over files in `.deploy/ENV/` (outputs.json, images.json, …), never Python objects. What a step has done is
remembered with the digest of its inputs (state.py), so a run that failed goes on where it failed, and one with nothing
to do does nothing. docs/deploy.md tells what each step does, and how to recover.
"""
