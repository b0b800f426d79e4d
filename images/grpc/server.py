"""Orders by gRPC, with server reflection: what tests of the step kind `grpc` talk to."""

import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from shop import orders_pb2, orders_pb2_grpc, types_pb2


class Orders(orders_pb2_grpc.OrdersServicer):
    def Create(self, request, context):
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-request", sent.get("x-request", "none")), ("x-raw-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-cost", "3"),))
        order = orders_pb2.Order(id=9007199254740993, sku=request.sku, qty=request.qty, state=types_pb2.STATE_NEW)
        order.total.currency = request.price_each.currency
        order.total.units = request.price_each.units * request.qty
        order.created_at.FromJsonString("2024-02-29T10:00:00Z")
        order.labels.update(request.labels)
        return order

    def Get(self, request, context):
        if request.id == 0:
            time.sleep(30)
        if request.id == 13:
            raise RuntimeError("a fault of the server")
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason="NO_SUCH_ORDER", domain="shop.example", metadata={"id": str(request.id)}))
        own = any_pb2.Any()
        own.Pack(orders_pb2.Note(text="look elsewhere", number=2))
        status = status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message=f"there is no order {request.id}", details=[detail, own])
        context.abort_with_status(rpc_status.to_status(status))

    def List(self, request, context):
        for n in range(request.count):
            yield orders_pb2.Order(id=n, sku=f"S{n}")
        if request.count == 3:
            context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")

    def Import(self, requests, context):
        skus = [r.sku for r in requests]
        return orders_pb2.Summary(count=len(skus), skus=skus)

    def Chat(self, notes, context):
        for note in notes:
            yield orders_pb2.Note(text=note.text.upper(), number=note.number + 1)

    def Watch(self, request, context):
        n = 0
        while context.is_active():
            yield orders_pb2.Note(text="tick", number=n)
            n += 1
            time.sleep(0.01)

    def Echo(self, request, context):
        return request


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
orders_pb2_grpc.add_OrdersServicer_to_server(Orders(), server)
names = (orders_pb2.DESCRIPTOR.services_by_name["Orders"].full_name, reflection.SERVICE_NAME)
reflection.enable_server_reflection(names, server)
server.add_insecure_port("[::]:50051")
server.start()
server.wait_for_termination()
