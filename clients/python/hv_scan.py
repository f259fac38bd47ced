#!/usr/bin/env python3
"""Scans the voltage of one high-voltage channel and prints the current at each step, as CSV.

    ./hv_scan.py hv0 3 --to 1000 --step 250 > scan.csv

Needs grpcio and grpcio-tools; README.md beside this file says how to get them. The stubs are generated
from the contract in proto/ at the start, so that there is nothing to keep up to date.

What it shows: a lease that is kept alive by a thread (if this script dies, the module ramps down by
itself), commands that return at the end of the ramp, readings with their quality, and what an error says.
"""
import argparse
import sys
import threading

import grpc

import stubs  # noqa: F401: makes the modules of canhub.v1
from canhub.v1 import common_pb2, high_voltage_service_pb2 as hv, lease_service_pb2 as leases  # noqa: E402
from canhub.v1.high_voltage_service_pb2_grpc import HighVoltageServiceStub  # noqa: E402
from canhub.v1.lease_service_pb2_grpc import LeaseServiceStub  # noqa: E402

WINDOW_S = 5  # silent for so long, and the module ramps down by itself
RAMP_S = 600  # no ramp of a scan takes longer


class Lease:
    """with Lease(channel, ["hv0"]) as lease: …; lease.id goes into every command."""

    def __init__(self, channel, device_ids, purpose):
        self._service = LeaseServiceStub(channel)
        request = leases.AcquireLeaseRequest(device_ids=device_ids, purpose=purpose)
        request.window.FromSeconds(WINDOW_S)
        self.id = self._service.AcquireLease(request, timeout=10).lease.lease_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)

    def _keep_alive(self):
        while not self._ended.wait(WINDOW_S / 3):
            try:
                self._service.KeepLeaseAlive(leases.KeepLeaseAliveRequest(lease_id=self.id), timeout=WINDOW_S / 3)
            except grpc.RpcError as error:
                print(f"# no sign of life got through: {error.details()}", file=sys.stderr)
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return  # lapsed: the next command fails with ABORTED or PERMISSION_DENIED

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, error_type, *_):
        self._ended.set()
        self._thread.join()
        # After an error the safe actions run: here, everything ramps down.
        self._service.ReleaseLease(
            leases.ReleaseLeaseRequest(lease_id=self.id, run_safe_actions=error_type is not None), timeout=10)


def scan(service, arguments, lease):
    def settled():
        return common_pb2.CommandOptions(wait_for=common_pb2.WAIT_FOR_SETTLED, lease_id=lease.id)

    target = {"device_id": arguments.device, "channel": arguments.channel}
    service.SetRamp(hv.SetRampRequest(**target, up_v_per_s=arguments.ramp, down_v_per_s=arguments.ramp,
                                      options=common_pb2.CommandOptions(lease_id=lease.id)), timeout=10)
    service.SetVoltage(hv.SetVoltageRequest(**target, voltage_v=arguments.start,
                                            options=common_pb2.CommandOptions(lease_id=lease.id)), timeout=10)
    service.SwitchOn(hv.SwitchOnRequest(**target, options=settled()), timeout=RAMP_S)
    print("voltage_set_v,voltage_measure_v,current_measure_a")
    steps = int((arguments.to - arguments.start) / arguments.step + 1e-9)
    for index in range(steps + 1):
        voltage = arguments.start + index * arguments.step
        service.SetVoltage(hv.SetVoltageRequest(**target, voltage_v=voltage, options=settled()), timeout=RAMP_S)
        channel = service.GetChannels(
            hv.GetChannelsRequest(device_id=arguments.device, channels=[arguments.channel]), timeout=10).channels[0]
        # An unset field was not read or cannot be believed any more: 0 would be a lie.
        if not channel.HasField("voltage_measure_v") or not channel.HasField("current_measure_a"):
            raise RuntimeError(f"{arguments.device} channel {arguments.channel} has no good reading: "
                               f"{common_pb2.Quality.Name(channel.quality)}")
        print(f"{voltage:g},{channel.voltage_measure_v!r},{channel.current_measure_a!r}", flush=True)
    service.SwitchOff(hv.SwitchOffRequest(**target, options=settled()), timeout=RAMP_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("device", help='for example "hv0"')
    parser.add_argument("channel", type=int, help="from 0")
    parser.add_argument("--from", dest="start", type=float, default=0, metavar="V")
    parser.add_argument("--to", type=float, default=1000, metavar="V")
    parser.add_argument("--step", type=float, default=250, metavar="V")
    parser.add_argument("--ramp", type=float, default=100, metavar="V_PER_S")
    parser.add_argument("--address", default="127.0.0.1:50051", help="HOST:PORT or unix:PATH")
    arguments = parser.parse_args()
    if arguments.step <= 0 or arguments.to < arguments.start:
        parser.error("--step must be above 0 and --to not below --from")
    with grpc.insecure_channel(arguments.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            with Lease(channel, [arguments.device], "scan") as lease:
                scan(HighVoltageServiceStub(channel), arguments, lease)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
        except (RuntimeError, KeyboardInterrupt) as error:
            sys.exit(f"stopped, ramping down: {error!r}")


if __name__ == "__main__":
    main()
