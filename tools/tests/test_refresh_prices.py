"""Client of Azure's price list, against a local server with its documented JSON."""

import json
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tools import refresh_prices
from tools.refresh_prices import PRICES, PriceListError

PAGE = 2
SIZE = "Standard_D4ds_v5"


@dataclass
class PriceList:
    """A price list with pages of two items and obviously artificial prices."""

    url: str = ""
    currency: str = "USD"
    next_host: str = ""
    extra: list[dict[str, Any]] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)

    def items(self, size: str) -> list[dict[str, Any]]:
        offers = [
            ("Virtual Machines DSv5 Series Windows", size, 0.01),
            ("Virtual Machines DSv5 Series", f"{size} Low Priority", 0.1),
            ("Virtual Machines DSv5 Series", f"{size} Spot", 0.5),
            ("Virtual Machines DSv5 Series", size, 1.5),
        ]
        found = [
            {"productName": product, "skuName": sku, "retailPrice": price, "unitOfMeasure": "1 Hour"}
            for product, sku, price in offers
        ]
        return [*found, *self.extra]

    def respond(self, path: str) -> dict[str, Any]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.filters.append(query["$filter"])
        size, start = query["$filter"].split("armSkuName eq '")[1].split("'")[0], int(query.get("$skip", "0"))
        found = self.items(size)
        follows = start + PAGE < len(found)
        base = f"{self.next_host or self.url}{path.partition('&$skip')[0]}"
        return {
            "BillingCurrency": self.currency,
            "Items": found[start : start + PAGE],
            "NextPageLink": f"{base}&$skip={start + PAGE}" if follows else None,
            "Count": PAGE,
        }


@pytest.fixture
def price_list() -> Iterator[PriceList]:
    state = PriceList()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(state.respond(self.path)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield state
        server.shutdown()


def test_refresh_prices_reads_every_page(price_list: PriceList) -> None:
    committed = tomllib.loads(PRICES.read_text())
    updated = tomllib.loads(refresh_prices.refresh_prices(PRICES.read_text(), price_list.url, "2027-01-02"))
    assert set(updated["vm_hour"].values()) == {1.5}  # on the second page
    assert set(updated["vm_hour_spot"].values()) == {0.5}
    assert (str(updated["date"]), updated["fetched"]) == ("2027-01-02", True)
    unchanged = committed.keys() - {"vm_hour", "vm_hour_spot", "date", "fetched"}
    assert {name: updated[name] for name in unchanged} == {name: committed[name] for name in unchanged}
    assert all("serviceName eq 'Virtual Machines'" in text and "westeurope" in text for text in price_list.filters)


def read_price(price_list: PriceList) -> float:
    prices = {"region": "westeurope", "currency": "USD"}
    return refresh_prices.read_hourly_price(price_list.url, prices, SIZE, spot=False)


def test_another_currency_is_an_error(price_list: PriceList) -> None:
    price_list.currency = "EUR"
    with pytest.raises(PriceListError, match="EUR instead of USD"):
        read_price(price_list)


def test_page_on_another_host_is_refused(price_list: PriceList) -> None:
    price_list.next_host = "http://127.0.0.2:1"
    with pytest.raises(PriceListError, match="another host"):
        read_price(price_list)


def test_two_prices_of_a_size_are_an_error(price_list: PriceList) -> None:
    offer = {"productName": "Virtual Machines", "skuName": SIZE, "unitOfMeasure": "1 Hour"}
    price_list.extra = [{**offer, "retailPrice": 2.5}, {**offer, "retailPrice": 900.0, "unitOfMeasure": "1 Year"}]
    with pytest.raises(PriceListError, match=r"has 2 prices for Standard_D4ds_v5 in westeurope: \[1\.5, 2\.5\]"):
        read_price(price_list)


def test_unreachable_list_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES.read_text())
    monkeypatch.setattr(sys, "argv", ["refresh", "--prices", str(path), "--price-list", "http://127.0.0.1:1/prices"])
    assert refresh_prices.main() == 1
    assert path.read_text() == PRICES.read_text()
    assert "http://127.0.0.1:1/prices cannot be read (" in (text := capsys.readouterr().err)
    assert text.endswith("run it with internet access\n")


def test_price_file_names_its_source() -> None:
    assert tomllib.loads(PRICES.read_text())["source"] == "https://prices.azure.com/api/retail/prices"
