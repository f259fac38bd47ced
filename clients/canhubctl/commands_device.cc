#include <memory>

#include "canhub/v1/device_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::DeviceService;

std::string LinkText(const Output& output, const v1::Device& device) {
  const std::string name = ShortName(v1::LinkState_Name(device.link()), "LINK_STATE_");
  switch (device.link()) {
    case v1::LINK_STATE_ONLINE:
      return output.Paint(Colour::kGood, name);
    case v1::LINK_STATE_SEARCHING:
    case v1::LINK_STATE_IDENTIFYING:
      return output.Paint(Colour::kWarn, name);
    default:
      return output.Paint(Colour::kBad, name);
  }
}

// What a person calls the thing: "EHS F460n-F, 16 channels, serial 5710234".
std::string IdentityText(const v1::Device& device) {
  const auto value = [&device](const char* key) {
    const auto found = device.identity().find(key);
    return found == device.identity().end() ? std::string() : found->second;
  };
  std::string text = value("article");
  const auto add = [&text](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  };
  if (value("class") == "crate") add("crate controller");
  if (!value("channels").empty()) add(value("channels") + " channels");
  if (!value("serial_number").empty()) add("serial " + value("serial_number"));
  return text;
}

ExitCode Devices(Session& session) {
  v1::ListDevicesResponse response;
  const grpc::Status status = session.Call<DeviceService>(&DeviceService::Stub::ListDevices,
                                                          v1::ListDevicesRequest(), &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  if (response.devices().empty()) {
    output.Line("no device is configured");
    return ExitCode::kOk;
  }
  TextTable table({{"DEVICE"},
                   {"DRIVER"},
                   {"BUS"},
                   {"ADDRESS"},
                   {"LINK"},
                   {"WHAT IT IS"},
                   {"ITEMS", Align::kRight},
                   {"ALARMS", Align::kRight},
                   {"LEASED BY"},
                   {"NOTE"}});
  for (const v1::Device& device : response.devices()) {
    std::string note;
    if (device.link() != v1::LINK_STATE_ONLINE) {
      note = device.link_text();
    } else if (!device.polled()) {
      note = "first poll under way";
    }
    if (device.simulated()) note = note.empty() ? "simulated" : "simulated; " + note;
    table.AddRow({device.device_id(), device.driver(), device.bus(), device.address(),
                  LinkText(output, device), IdentityText(device),
                  std::to_string(device.item_count()),
                  device.active_alarms() == 0
                      ? ""
                      : output.Paint(Colour::kBad, std::to_string(device.active_alarms())),
                  device.lease_holder(), note});
  }
  output.out() << table.ToString();
  for (const v1::DeviceGroup& group : response.groups()) {
    std::string members;
    for (const std::string& id : group.device_ids()) members += (members.empty() ? "" : ", ") + id;
    output.Line("group " + group.group_id() + ": " + members +
                "; when one fails: " + group.on_failure());
  }
  return ExitCode::kOk;
}

ExitCode Device(Session& session, const std::string& id) {
  v1::GetDeviceRequest request;
  request.set_device_id(id);
  v1::GetDeviceResponse response;
  const grpc::Status status =
      session.Call<DeviceService>(&DeviceService::Stub::GetDevice, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  const v1::Device& device = response.device();
  const auto line = [&output](const std::string& name, const std::string& value) {
    if (!value.empty())
      output.Line(name + std::string(name.size() < 22 ? 22 - name.size() : 1, ' ') + value);
  };
  line("device", device.device_id() + (device.simulated() ? " (simulated)" : ""));
  line("driver", device.driver() + ", kind " + device.kind());
  line("bus", device.bus() + ", address " + device.address());
  line("link",
       LinkText(output, device) + (device.link_text().empty() ? "" : ": " + device.link_text()));
  line("polled", device.polled() ? "yes" : "not yet completely");
  line("last frame", FormatAgo(device.last_frame_time(), Now()));
  line("items", std::to_string(device.item_count()));
  line("active alarms", std::to_string(device.active_alarms()));
  if (!device.lease_holder().empty()) line("leased by", device.lease_holder());
  for (const auto& [key, value] :
       std::map<std::string, std::string>(device.identity().begin(), device.identity().end())) {
    line("identity " + key, value);
  }
  for (const auto& [key, value] :
       std::map<std::string, std::string>(device.limits().begin(), device.limits().end())) {
    line("limit " + key, value);
  }
  std::string actions;
  for (const std::string& action : response.safe_actions()) {
    actions += (actions.empty() ? "" : ", ") + action;
  }
  line("safe actions", actions);
  const v1::DeviceCounters& counters = response.counters();
  line("frames", std::to_string(counters.frames_received()) + " received, " +
                     std::to_string(counters.frames_sent()) + " sent");
  line("timeouts", std::to_string(counters.timeouts()));
  std::string bad;
  for (const auto& [reason, count] : counters.bad_frames()) {
    bad += (bad.empty() ? "" : ", ") + reason + " " + std::to_string(count);
  }
  line("wrong frames", bad.empty() ? "none" : output.Paint(Colour::kWarn, bad));
  line("last wrong frame", response.last_bad_frame());
  line("mailbox overflows", std::to_string(counters.mailbox_overflows()));
  line("commands", std::to_string(counters.commands()) + " carried out, " +
                       std::to_string(counters.commands_refused()) + " refused");
  return ExitCode::kOk;
}

ExitCode Restart(Session& session, const std::string& id) {
  v1::RestartDeviceRequest request;
  request.set_device_id(id);
  v1::RestartDeviceResponse response;
  const grpc::Status status =
      session.Call<DeviceService>(&DeviceService::Stub::RestartDevice, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
  } else {
    session.output().Line(id + ": driver started again; the device keeps its set-points");
  }
  return ExitCode::kOk;
}

}  // namespace

void AddDeviceCommands(CLI::App& app, Session& session) {
  AddCommand(app, "devices", "list all devices and whether they answer",
             "canhubctl devices\ncanhubctl devices --json | jq -r '.devices[].device_id'")
      ->callback([&session] { session.action = [&session] { return Devices(session); }; });
  {
    CLI::App* command =
        AddCommand(app, "device", "everything about one device: identity, limits, counters",
                   "canhubctl device hv0");
    auto id = std::make_shared<std::string>();
    session.Hint(command->add_option("device", *id, "its id")->required(), Complete::kDevice);
    command->callback(
        [&session, id] { session.action = [&session, id] { return Device(session, *id); }; });
  }
  {
    CLI::App* command = AddCommand(app, "restart",
                                   "start a device's driver again: log-on, identification, poll; "
                                   "never sends a set-point",
                                   "canhubctl restart hv0");
    auto id = std::make_shared<std::string>();
    session.Hint(command->add_option("device", *id, "its id")->required(), Complete::kDevice);
    command->callback(
        [&session, id] { session.action = [&session, id] { return Restart(session, *id); }; });
  }
}

}  // namespace canhub::ctl
