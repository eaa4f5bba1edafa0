"""Retention of experiments in the facade: deletes those whose last day has passed.

Every facade looks once an hour. The store locks each experiment, so that several replicas delete it once.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from thale.errors import ExperimentStoreError
from thale.facade.experiments.background import background_task
from thale.facade.experiments.store_client import StoreClient

logger = logging.getLogger(__name__)

START_DELAY_S = 60.0
"""The first look opens the store, which would delay the start of the facade."""
INTERVAL_S = 3600.0


def delete_expired_experiments(
    store: StoreClient, start_delay_s: float = START_DELAY_S, interval_s: float = INTERVAL_S
) -> AbstractAsyncContextManager[None]:
    """Delete expired experiments for the duration of the context."""
    return background_task(_run(store, start_delay_s, interval_s))


async def _run(store: StoreClient, start_delay_s: float, interval_s: float) -> None:
    delay_s = start_delay_s
    while True:
        await asyncio.sleep(delay_s)
        delay_s = interval_s
        try:
            today = datetime.now(UTC).date()
            expired = await store.call(lambda opened, today=today: opened.experiments.delete_expired(today))  # type: ignore[misc]
        except ExperimentStoreError as error:
            logger.warning("expired experiments not deleted", extra={"code": error.code})
        # Isolation boundary of the background task: an unexpected error must not end the retention of all experiments.
        except Exception:
            logger.exception("retention failed unexpectedly")
        else:
            for deleted in expired.deleted:
                logger.info("expired experiment deleted", extra={"experiment": deleted.id, "images": deleted.images})
            for experiment_id in expired.failed:
                logger.warning("expired experiment not deleted", extra={"experiment": experiment_id})
