#include "daemon/rpc/power_converter_watch.h"

#include <utility>

#include "daemon/rpc/device_watch.h"
#include "daemon/rpc/power_converter_target.h"

namespace canhub {

absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchStateResponse>>> MakeConverterWatch(
    RpcContext* rpc, const v1::WatchStateRequest& request, Kicks kicks) {
  absl::StatusOr<PowerConverters> found =
      FindConverters(*rpc->hub, request.device_id(), /*all=*/true);
  if (!found.ok()) return found.status();
  const absl::StatusOr<Duration> min_interval = ReadMinInterval(request);
  if (!min_interval.ok()) return min_interval.status();
  std::vector<WatchedDevice<v1::WatchStateResponse>> devices;
  for (const PowerConverterTarget& target : found->members) {
    devices.push_back({target.index(), target.id(),
                       [target](const DeviceSnapshot& snapshot, const TimeView& time,
                                v1::WatchStateResponse* out) {
                         SetConverterState(target, snapshot, time, out->add_converters());
                       }});
  }
  return DeviceWatch<v1::WatchStateResponse>::Open(rpc, std::move(devices), *min_interval,
                                                   std::move(kicks));
}

}  // namespace canhub
