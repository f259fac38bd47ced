#!/usr/bin/env python3
"""The four examples of the vendor's Python client, through canhub: an info, a parameter, a write, messages.

    ./studer_plant.py xt1

against `canhubd --config config/solar.yaml`. Needs what hv_scan.py needs.
"""
import argparse

import grpc

import stubs  # noqa: F401: makes the modules of canhub.v1
from canhub.v1 import studer_service_pb2 as studer  # noqa: E402
from canhub.v1.studer_service_pb2_grpc import StuderServiceStub  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", help="an Xtender")
    parser.add_argument("--address", default="127.0.0.1:50051", help="HOST:PORT or unix:PATH")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.address) as channel:
        service = StuderServiceStub(channel)
        device = arguments.device

        info = service.ReadUserInfo(studer.ReadUserInfoRequest(device_id=device, info="3000"), timeout=10)
        print(f"battery voltage: {info.reading.value.number} {info.reading.unit}")

        parameter = service.ReadParameter(studer.ReadParameterRequest(device_id=device, parameter="1107"), timeout=10)
        print(f"input limit: in force {parameter.ram.value.number}, stored {parameter.flash.value.number}, "
              f"from {parameter.minimum} to {parameter.maximum} {parameter.ram.unit}")

        # To RAM: in force until the unit restarts.
        try:
            written = service.WriteParameter(
                studer.WriteParameterRequest(device_id=device, parameter="1286", value=230, force=True), timeout=10)
            print(f"output voltage: {written.written.number} V written")
        except grpc.RpcError as error:
            print(f"not written: {error.details()}")

        for message in service.ListMessages(studer.ListMessagesRequest(), timeout=10).messages:
            print(f"{message.device_id}: {message.text}")


if __name__ == "__main__":
    main()
