"""Downloads the hourly prices of virtual machines into services/thale/capacity/prices.toml, from Azure's price list.

    make prices

The list is public and needs no login:
https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices. A response has up to 1,000 items
and the URL of the next page. Prices of a contract differ.
"""

import argparse
import json
import re
import sys
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PRICES = Path(__file__).parents[1] / "services" / "thale" / "capacity" / "prices.toml"
_MAX_PAGES = 50
_TIMEOUT_S = 30


class PriceListError(Exception):
    """The price list has no price for a size, or its response is not as documented."""


def refresh_prices(text: str, price_list: str, today: str) -> str:
    """Return the price file with the present hourly prices.

    Args:
        text: The current content of the file.
        price_list: URL of the price list's API.
        today: The new date.

    Raises:
        PriceListError: If the list has no price for a size, or another currency.
        OSError: If it does not respond.
    """
    prices = tomllib.loads(text)
    for table in ("vm_hour", "vm_hour_spot"):
        head, marker, rest = text.partition(f"[{table}]\n")
        block, blank, tail = rest.partition("\n\n")
        for size in prices[table]:
            price = read_hourly_price(price_list, prices, size, spot=table.endswith("spot"))
            block = re.sub(rf"(?m)^({size}\s*=) .*$", rf"\1 {price:g}", block)
        text = head + marker + block + blank + tail
    text = re.sub(r"(?m)^date( *)= .*$", rf"date\1= {today}", text)
    return re.sub(r"(?m)^fetched( *)= .*$", r"fetched\1= true", text)


def read_hourly_price(price_list: str, prices: Mapping[str, Any], size: str, *, spot: bool) -> float:
    """Return the price of an hour of a Linux machine, pay as you go or spot.

    Raises:
        PriceListError: If the list has no price for the size, or more than one.
    """
    criteria = {
        "serviceName": "Virtual Machines",
        "armRegionName": prices["region"],
        "armSkuName": size,
        "priceType": "Consumption",
    }
    query = {
        "currencyCode": f"'{prices['currency']}'",
        "$filter": " and ".join(f"{name} eq '{value}'" for name, value in criteria.items()),
    }
    found = {
        float(item["retailPrice"])
        for item in _read_items(f"{price_list}?{urllib.parse.urlencode(query)}", prices["currency"])
        if item["unitOfMeasure"] == "1 Hour"
        and "Windows" not in item["productName"]
        and "Low Priority" not in item["skuName"]
        and ("Spot" in item["skuName"]) == spot
    }
    kind = "spot " if spot else ""
    if len(found) != 1:
        raise PriceListError(
            f"the price list has {len(found) or 'no'} {kind}prices for {size} in {prices['region']}: {sorted(found)}"
        )
    return found.pop()


def _read_items(url: str, currency: str) -> Iterator[Mapping[str, Any]]:
    """Yield the items of all pages. A page on another host is refused."""
    host = urllib.parse.urlsplit(url).netloc
    for _ in range(_MAX_PAGES):
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 (https, or the server of a test)
            page = json.load(response)
        if page["BillingCurrency"] != currency:
            raise PriceListError(f"the price list returned {page['BillingCurrency']} instead of {currency}")
        yield from page["Items"]
        url = page.get("NextPageLink") or ""
        if not url:
            return
        if urllib.parse.urlsplit(url).netloc != host:
            raise PriceListError(f"the next page is on another host than {host}: {url}")
    raise PriceListError(f"the price list has more than {_MAX_PAGES} pages for one size")


def main() -> int:
    """Update the price file. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Update the prices of virtual machines from Azure's price list.")
    parser.add_argument("--prices", type=Path, default=PRICES, help="The price file. Default: the one in the package.")
    parser.add_argument("--price-list", help="URL of the price list. Default: `source` in the price file.")
    options = parser.parse_args()
    try:
        text = options.prices.read_text()
        source = options.price_list or tomllib.loads(text)["source"]
        options.prices.write_text(refresh_prices(text, source, datetime.now(UTC).date().isoformat()))
    except urllib.error.URLError as error:
        sys.stderr.write(f"prices unchanged: {source} cannot be read ({error.reason}): run it with internet access\n")
        return 1
    except (OSError, ValueError, KeyError, PriceListError) as error:
        sys.stderr.write(f"prices unchanged: {error}\n")
        return 1
    sys.stdout.write(f"{options.prices} updated: run `make generate`, and check the entries below [vm_cores] by hand\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
