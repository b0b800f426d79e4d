"""The HTTP interface."""

import dataclasses
import hmac
import logging
import os
import time
import uuid

import flask
import psycopg
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from werkzeug.exceptions import HTTPException

from orders import cache, catalogue, checkout, database, history, payments, stock
from shop import broker, flags, logs, settings

log = logging.getLogger(__name__)

REQUESTS = Counter("http_requests_total", "requests by route and status", ["route", "method", "status"])
DURATION = Histogram("http_request_duration_seconds", "time to answer", ["route"])
CHECKOUTS = Counter("shop_checkouts_total", "checkouts by their end", ["end"])

routes = flask.Blueprint("shop", __name__)


@dataclasses.dataclass
class Services:
    """What the routes work with."""

    cache: object
    events: object
    flags: flags.Flags
    payments: payments.Payments
    admin_token: str

    pool: object = None

    def open_pool(self):
        """Called in every worker process: connections must not be shared between them."""
        self.pool = database.open_pool()


def services():
    return flask.current_app.extensions["shop"]


def create_app():
    logs.configure("orders")
    app = flask.Flask("orders")
    app.json.sort_keys = False
    cache_url, broker_url = settings.text("CACHE_URL", ""), settings.text("BROKER_URL", "")
    app.extensions["shop"] = Services(
        cache=cache.Cache(cache_url) if cache_url else cache.NoCache(),
        events=broker.Publisher(broker_url) if broker_url else broker.LoggedEvents(),
        flags=flags.Flags(settings.text("FLAGS_FILE", "")),
        payments=payments.Payments(),
        admin_token=settings.secret("ADMIN_TOKEN"),
    )
    settings.text("DATABASE_URL")
    app.register_blueprint(routes)
    return app


def problem(status, message):
    return {"error": message}, status


@routes.before_app_request
def begin():
    logs.clear()
    flask.g.began = time.monotonic()
    flask.g.request_id = flask.request.headers.get("X-Request-Id") or str(uuid.uuid4())
    logs.bind(request_id=flask.g.request_id)


@routes.after_app_request
def end(response):
    route = flask.request.url_rule.rule if flask.request.url_rule else "none"
    took = time.monotonic() - flask.g.began
    REQUESTS.labels(route, flask.request.method, response.status_code).inc()
    DURATION.labels(route).observe(took)
    response.headers["X-Request-Id"] = flask.g.request_id
    if route not in ("/health", "/metrics"):
        fields = {
            "method": flask.request.method,
            "path": flask.request.path,
            "status": response.status_code,
            "ms": round(took * 1000, 1),
        }
        log.info("request", extra={"fields": fields})
    return response


@routes.app_errorhandler(Exception)
def failed(error):
    if isinstance(error, HTTPException):
        return problem(error.code, error.name.lower())
    if isinstance(error, (psycopg.OperationalError, *database.DATABASE_ERRORS)):
        log.exception("database is not there")
        return problem(503, "try again later")
    log.exception("request failed")
    return problem(500, "internal error")


@routes.get("/health")
def health():
    checks = {}
    for name, check in (
        ("database", lambda: ask_database(services().pool)),
        ("cache", services().cache.check),
        ("broker", services().events.check),
    ):
        try:
            check()
            checks[name] = "ok"
        except Exception as error:  # whatever is wrong with a dependency is its state
            checks[name] = f"{type(error).__name__}: {error}"
    good = all(state == "ok" for state in checks.values())
    if not good:
        log.warning("not healthy", extra={"fields": {"checks": checks}})
    return {"status": "ok" if good else "failing", "checks": checks}, 200 if good else 503


def ask_database(pool):
    with pool.connection(timeout=2) as connection:
        connection.execute("SELECT 1")


@routes.get("/metrics")
def metrics():
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return flask.Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


@routes.get("/products")
def products():
    return {"products": catalogue.products(services().pool)}


@routes.get("/products/<sku>")
def product(sku):
    try:
        return catalogue.product(services().pool, services().cache, sku)
    except catalogue.UnknownProduct:
        return problem(404, f"no product {sku}")


@routes.put("/admin/products/<sku>/price")
def change_price(sku):
    given = flask.request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not services().admin_token or not hmac.compare_digest(given.encode(), services().admin_token.encode()):
        return problem(403, "not allowed")
    price = body().get("price_cents")
    if not isinstance(price, int) or price <= 0:
        return problem(422, "price_cents is a positive number of cents")
    try:
        changed = catalogue.change_price(services().pool, services().cache, sku, price)
    except catalogue.UnknownProduct:
        return problem(404, f"no product {sku}")
    log.info("price changed", extra={"fields": {"sku": sku, "price_cents": price}})
    return changed


@routes.post("/orders")
def place_order():
    asked = body()
    customer, sku, qty = asked.get("customer_id"), asked.get("sku"), asked.get("qty", 1)
    if not (isinstance(customer, int) and isinstance(sku, str) and isinstance(qty, int) and 0 < qty <= 100):
        return problem(422, "customer_id, sku and a qty from 1 to 100 are needed")
    try:
        order = checkout.place(services(), customer, sku, qty)
    except catalogue.UnknownProduct:
        end_of_checkout, answer = "unknown_product", problem(404, f"no product {sku}")
    except stock.SoldOut:
        end_of_checkout, answer = "sold_out", problem(409, f"{sku} is sold out")
    except payments.Declined:
        end_of_checkout, answer = "declined", problem(402, "payment was declined")
    except payments.PaymentFailed as error:
        log.error("payment failed", extra={"fields": {"reason": str(error), "sku": sku}})
        end_of_checkout, answer = "payment_failed", problem(502, "payment is not possible at the moment")
    else:
        end_of_checkout, answer = "paid", (order, 201, {"Location": f"/orders/{order['id']}"})
    CHECKOUTS.labels(end_of_checkout).inc()
    return answer


@routes.get("/orders/<int:order_id>")
def order(order_id):
    found = history.order(services().pool, order_id)
    return as_json(found) if found else problem(404, f"no order {order_id}")


@routes.get("/customers/<int:customer_id>/orders")
def customer_orders(customer_id):
    before = flask.request.args.get("before", type=int)
    found = [as_json(order) for order in history.page(services().pool, customer_id, before)]
    more = found[-1]["id"] if len(found) == history.PAGE else None
    return {"customer_id": customer_id, "orders": found, "before": more}


def body():
    asked = flask.request.get_json(silent=True)
    return asked if isinstance(asked, dict) else {}


def as_json(order):
    times = {name: order[name].isoformat() if order[name] else None for name in ("created_at", "shipped_at")}
    return {**order, **times}
