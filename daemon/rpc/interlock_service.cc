// InterlockService: rules across devices.
#include "canhub/v1/interlock_service.grpc.pb.h"
#include "daemon/core/interlock_table.h"
#include "daemon/core/safety_device.h"
#include "daemon/rpc/call.h"
#include "daemon/rpc/clean_text.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/services.h"

namespace canhub {
namespace {

v1::SafetyState StateOf(SafetyState state) {
  switch (state) {
    case SafetyState::kInit:
      return v1::SAFETY_STATE_INIT;
    case SafetyState::kNormal:
      return v1::SAFETY_STATE_NORMAL;
    case SafetyState::kWarning:
      return v1::SAFETY_STATE_WARNING;
    case SafetyState::kDangerous:
      return v1::SAFETY_STATE_DANGEROUS;
    case SafetyState::kSecurity:
      return v1::SAFETY_STATE_SECURITY;
    case SafetyState::kPrecharge:
      return v1::SAFETY_STATE_PRECHARGE;
  }
  return v1::SAFETY_STATE_UNSPECIFIED;
}

v1::InterlockState StateOf(InterlockState state) {
  return static_cast<v1::InterlockState>(static_cast<int>(state) + 1);
}

v1::SafetyLevel LevelOf(Level level) {
  return static_cast<v1::SafetyLevel>(static_cast<int>(level) + 1);
}

void SetInterlock(const InterlockInfo& info, const TimeView& time, v1::Interlock* out) {
  out->set_interlock_id(info.id);
  out->set_description(CleanText(info.description));
  out->set_condition(CleanText(info.condition));
  out->set_state(StateOf(info.state));
  out->set_severity(LevelOf(info.severity));
  out->set_latching(info.latching);
  for (const InterlockCause& cause : info.causes) {
    v1::InterlockCause* to = out->add_causes();
    to->set_condition(CleanText(cause.condition));
    to->set_subject(CleanText(cause.subject));
    to->set_found(CleanText(cause.found));
    if (cause.time) SetTimestamp(time.ToWall(*cause.time), to->mutable_read_time());
  }
  if (info.tripped) SetTimestamp(time.ToWall(*info.tripped), out->mutable_trip_time());
  for (const InterlockStepInfo& step : info.steps) {
    v1::InterlockStep* to = out->add_steps();
    to->set_text(CleanText(step.text));
    to->set_begun(step.state != InterlockStepInfo::State::kIdle);
    to->set_done(step.state == InterlockStepInfo::State::kDone);
    to->set_problem(CleanText(step.problem));
  }
  out->set_complete(info.complete);
  for (const std::string& refused : info.refuses) out->add_refuses(refused);
  out->set_trip_count(info.trips);
}

class InterlockServiceImpl final : public v1::InterlockService::CallbackService {
 public:
  explicit InterlockServiceImpl(RpcContext* rpc) : rpc_(*rpc) {}

  grpc::ServerUnaryReactor* ListInterlocks(grpc::CallbackServerContext* context,
                                           const v1::ListInterlocksRequest*,
                                           v1::ListInterlocksResponse* response) override {
    return Answer(rpc_, context, Role::kViewer, [&](const Caller&) {
      const InterlockTable* table = rpc_.hub->interlocks();
      if (table == nullptr) return absl::OkStatus();
      const TimeView time(rpc_.hub->clock());
      response->set_state(StateOf(table->state()));
      for (const InterlockInfo& info : table->List()) {
        SetInterlock(info, time, response->add_interlocks());
      }
      for (const LevelInfo& info : table->Levels()) {
        v1::LevelState* level = response->add_levels();
        level->set_level_id(info.id);
        level->set_level(LevelOf(info.level));
        level->set_worst(CleanText(info.worst));
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* AcknowledgeInterlock(
      grpc::CallbackServerContext* context, const v1::AcknowledgeInterlockRequest* request,
      v1::AcknowledgeInterlockResponse* response) override {
    return AnswerFrom(
        rpc_.disk, rpc_, context, Role::kOperator, request, response,
        [this](const Caller& caller, const v1::AcknowledgeInterlockRequest& request)
            -> absl::StatusOr<v1::AcknowledgeInterlockResponse> {
          const std::string& id = request.interlock_id();
          if (id.empty()) return MissingField("interlock_id", "an interlock's id");
          InterlockTable* table = rpc_.hub->interlocks();
          if (table == nullptr) {
            return absl::NotFoundError("there is no interlock: the configuration has none");
          }
          const absl::StatusOr<InterlockInfo> info =
              table->Acknowledge(caller, id, request.comment());
          if (!info.ok()) return info.status();
          // Who has seen the interlock has seen its alarms; those that are not there are none.
          for (const char* suffix : {"", ".incomplete"}) {
            const std::string alarm = std::string(kSafetyDevice) + "/" + id + suffix;
            rpc_.hub->alarms().Acknowledge(caller, alarm, request.comment()).status().IgnoreError();
          }
          v1::AcknowledgeInterlockResponse response;
          SetInterlock(*info, TimeView(rpc_.hub->clock()), response.mutable_interlock());
          return response;
        });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeInterlockService(RpcContext* rpc) {
  return std::make_unique<InterlockServiceImpl>(rpc);
}

}  // namespace canhub
