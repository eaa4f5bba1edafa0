"""Cost per hour of one facade and its share of the model servers, for the setting THALE_COST_PER_HOUR."""

from thale.capacity.environment_limits import EnvironmentLimits
from thale.capacity.nodes import Prices, get_node


def facade_cost_per_hour(limits: EnvironmentLimits, prices: Prices) -> float:
    """Return the price of the CPUs that one facade and its share of the smallest number of predictors request.

    Args:
        limits: The limits of the environment.
        prices: Hourly prices of the VM sizes.

    Returns:
        Currency units per hour, in the currency of the prices.

    Raises:
        ParameterError: If the VM size of the general pool has no price.
    """
    vm_size = limits.general_pool.vm_size
    price_per_core = get_node(vm_size, prices).price_per_hour / prices.cores[vm_size]
    facades = max(1, limits.facade.hpa.min_replicas)
    models = sum(model.cpu_request * model.hpa.min_replicas for model in (limits.segmentation, limits.landmarks))
    return price_per_core * (limits.facade.cpu_request + models / facades)
