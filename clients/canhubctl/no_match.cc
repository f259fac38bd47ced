#include "clients/canhubctl/no_match.h"

#include "canhub/v1/device_service.grpc.pb.h"
#include "canhub/v1/item_service.grpc.pb.h"

namespace canhub::ctl {
namespace {

bool AnyItemMatches(Session& session, const std::string& pattern) {
  v1::ListItemsRequest request;
  request.add_patterns(pattern);
  v1::ListItemsResponse response;
  return session.Call<v1::ItemService>(&v1::ItemService::Stub::ListItems, request, &response)
             .ok() &&
         !response.items().empty();
}

// "" when the daemon does not say.
std::string DevicesText(Session& session, const std::string& wanted) {
  v1::ListDevicesResponse response;
  if (!session
           .Call<v1::DeviceService>(&v1::DeviceService::Stub::ListDevices, v1::ListDevicesRequest(),
                                    &response)
           .ok()) {
    return "";
  }
  std::string ids;
  for (const v1::Device& device : response.devices()) {
    if (device.device_id() == wanted) return " (" + wanted + " has not told its items yet)";
    ids += (ids.empty() ? "" : ", ") + device.device_id();
  }
  return ids.empty() ? " (there are no devices)" : " (the devices are " + ids + ")";
}

}  // namespace

std::string NoMatchText(Session& session,
                        const google::protobuf::RepeatedPtrField<std::string>& patterns) {
  std::string text;
  for (const std::string& pattern : patterns) {
    text += (text.empty() ? " " : " or ") + pattern;
    const std::string device = pattern.substr(0, pattern.find('/'));
    if (AnyItemMatches(session, device + "/*")) {
      const bool plain = device.find_first_of("*[") == std::string::npos;
      text +=
          " (canhubctl items " + (plain ? device : "'" + device + "'") + " lists what there is)";
    } else {
      text += DevicesText(session, device);
    }
  }
  return "no item matches" + text;
}

}  // namespace canhub::ctl
