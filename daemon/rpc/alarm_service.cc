// AlarmService: conditions a human must know of.
#include <chrono>
#include <utility>

#include "canhub/v1/alarm_service.grpc.pb.h"
#include "daemon/rpc/alarm_watch.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/services.h"

namespace canhub {
namespace {

constexpr Duration kMinShelve = std::chrono::seconds(1);
constexpr Duration kMaxShelve = std::chrono::hours(24);

v1::AlarmState StateOf(const AlarmRecord& alarm) {
  if (alarm.active) {
    return alarm.acknowledged ? v1::ALARM_STATE_ACTIVE_ACKNOWLEDGED
                              : v1::ALARM_STATE_ACTIVE_UNACKNOWLEDGED;
  }
  return alarm.acknowledged ? v1::ALARM_STATE_NORMAL : v1::ALARM_STATE_CLEARED_UNACKNOWLEDGED;
}

void SetAlarm(const AlarmRecord& alarm, v1::Alarm* out) {
  out->set_alarm_id(CleanText(alarm.id()));
  out->set_device_id(CleanText(alarm.device_id));
  out->set_code(CleanText(alarm.code));
  if (v1::AlarmSeverity_IsValid(alarm.severity)) {
    out->set_severity(static_cast<v1::AlarmSeverity>(alarm.severity));
  }
  out->set_state(StateOf(alarm));
  out->set_text(CleanText(alarm.text));
  SetTimestamp(alarm.first_time, out->mutable_first_time());
  SetTimestamp(alarm.last_time, out->mutable_last_time());
  if (alarm.clear_time) SetTimestamp(*alarm.clear_time, out->mutable_clear_time());
  out->set_count(alarm.count);
  out->set_acknowledged_by(CleanText(alarm.acknowledged_by));
  if (alarm.acknowledge_time) {
    SetTimestamp(*alarm.acknowledge_time, out->mutable_acknowledge_time());
  }
  out->set_comment(CleanText(alarm.comment));
  if (alarm.shelved_until) SetTimestamp(*alarm.shelved_until, out->mutable_shelved_until());
  out->set_shelved_by(CleanText(alarm.shelved_by));
}

absl::Status RequireAlarmId(const std::string& alarm_id) {
  if (alarm_id.empty()) return MissingField("alarm_id", "an alarm's id, such as \"hv0/ch3.trip\"");
  return absl::OkStatus();
}

class AlarmServiceImpl final : public v1::AlarmService::CallbackService {
 public:
  explicit AlarmServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* ListAlarms(grpc::CallbackServerContext* context,
                                       const v1::ListAlarmsRequest* request,
                                       v1::ListAlarmsResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      for (const AlarmRecord& alarm : rpc_.hub->alarms().List({.device_id = request->device_id(),
                                      .include_history = request->include_history(),
                                      .include_shelved = request->include_shelved()})) {
        SetAlarm(alarm, response->add_alarms());
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<v1::WatchAlarmsResponse>* WatchAlarms(
      grpc::CallbackServerContext* context, const v1::WatchAlarmsRequest* request) override {
    return WatchStream<v1::WatchAlarmsResponse>::Start(
        rpc_, context,
        [&](const Caller&, Kicks kicks)
            -> absl::StatusOr<std::unique_ptr<MessageSource<v1::WatchAlarmsResponse>>> {
          return std::make_unique<AlarmSource<v1::WatchAlarmsResponse>>(
              &rpc_, request->device_id(), std::move(kicks),
              [](const AlarmRecord& alarm, v1::WatchAlarmsResponse* out) {
                SetAlarm(alarm, out->mutable_alarm());
                return true;
              });
        });
  }

  grpc::ServerUnaryReactor* AcknowledgeAlarm(grpc::CallbackServerContext* context,
                                             const v1::AcknowledgeAlarmRequest* request,
                                             v1::AcknowledgeAlarmResponse* response) override {
    return AnswerFrom(rpc_.disk, rpc_, context, Role::kOperator, request, response,
                      [this](const Caller& caller, const v1::AcknowledgeAlarmRequest& request)
                          -> absl::StatusOr<v1::AcknowledgeAlarmResponse> {
                        const absl::Status given = RequireAlarmId(request.alarm_id());
                        if (!given.ok()) return given;
                        const absl::StatusOr<AlarmRecord> alarm = rpc_.hub->alarms().Acknowledge(
                            caller, request.alarm_id(), request.comment());
                        if (!alarm.ok()) return alarm.status();
                        v1::AcknowledgeAlarmResponse response;
                        SetAlarm(*alarm, response.mutable_alarm());
                        return response;
                      });
  }

  grpc::ServerUnaryReactor* ShelveAlarm(grpc::CallbackServerContext* context,
                                        const v1::ShelveAlarmRequest* request,
                                        v1::ShelveAlarmResponse* response) override {
    return AnswerFrom(
        rpc_.disk, rpc_, context, Role::kOperator, request, response,
        [this](const Caller& caller,
               const v1::ShelveAlarmRequest& request) -> absl::StatusOr<v1::ShelveAlarmResponse> {
          const absl::Status given = RequireAlarmId(request.alarm_id());
          if (!given.ok()) return given;
          if (!request.has_duration()) {
            return MissingField("duration", "1 s … 24 h; 0 s takes the shelving back");
          }
          const bool take_back =
              request.duration().seconds() == 0 && request.duration().nanos() == 0;
          const absl::StatusOr<Duration> duration = ReadDuration(
              request.duration(), "duration", take_back ? Duration(0) : kMinShelve, kMaxShelve);
          if (!duration.ok()) return duration.status();
          const absl::StatusOr<AlarmRecord> alarm =
              rpc_.hub->alarms().Shelve(caller, request.alarm_id(), *duration, request.comment());
          if (!alarm.ok()) return alarm.status();
          v1::ShelveAlarmResponse response;
          SetAlarm(*alarm, response.mutable_alarm());
          return response;
        });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAlarmService(RpcContext* rpc) {
  return std::make_unique<AlarmServiceImpl>(rpc);
}

}  // namespace canhub
