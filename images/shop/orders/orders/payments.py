"""The payment provider's interface."""

import json
import ssl

import urllib3

from shop import settings


class Declined(Exception):
    """The customer's bank said no."""


class PaymentFailed(Exception):
    """The provider could not be asked, or did not accept the question."""


class Payments:
    def __init__(self):
        self._url = settings.text("PAYMENT_URL").rstrip("/")
        self._key = settings.secret("PAYMENT_API_KEY")
        self._http = urllib3.PoolManager(
            maxsize=settings.number("WEB_THREADS", 1),
            timeout=urllib3.Timeout(connect=2, read=5),
            retries=False,
            ssl_context=ssl.create_default_context(),
        )

    def charge(self, reference, customer_id, cents):
        """Charges once however often it is called with the same reference. Returns the provider's number of the payment."""
        try:
            answer = self._http.request(
                "POST",
                f"{self._url}/v1/charges",
                body=json.dumps({"reference": reference, "customer": customer_id, "amount": cents, "currency": "EUR"}),
                headers={
                    "Authorization": f"Bearer {self._key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": reference,
                },
            )
        except urllib3.exceptions.HTTPError as error:
            raise PaymentFailed(f"payment provider did not answer: {error}") from error
        if answer.status == 402:
            raise Declined(reference)
        if answer.status not in (200, 201):
            raise PaymentFailed(f"payment provider answered {answer.status}: {answer.data[:200].decode(errors='replace')}")
        return json.loads(answer.data)["id"]
