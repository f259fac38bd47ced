#include <algorithm>
#include <memory>

#include "canhub/v1/hub_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::HubService;

struct AuditArguments {
  std::string device;
  std::string who;
  std::string since;
  std::string until;
  uint32_t limit = 100;
};

ExitCode Audit(Session& session, const AuditArguments& arguments) {
  v1::QueryAuditRequest request;
  request.set_device_id(arguments.device);
  request.set_identity(arguments.who);
  const WallTime now = Now();
  if (!arguments.since.empty()) {
    const Parsed<WallTime> since = ParseTimePoint(arguments.since, now);
    if (!since.ok()) return session.Usage("--since: " + since.error());
    *request.mutable_from_time() = ToTimestamp(*since);
  }
  if (!arguments.until.empty()) {
    const Parsed<WallTime> until = ParseTimePoint(arguments.until, now);
    if (!until.ok()) return session.Usage("--until: " + until.error());
    *request.mutable_to_time() = ToTimestamp(*until);
  }
  // The daemon gives 1000 entries at a time: more are fetched page by page.
  constexpr uint32_t kPage = 1000;
  v1::QueryAuditResponse all;
  while (true) {
    const uint32_t missing = arguments.limit - static_cast<uint32_t>(all.entries_size());
    request.set_limit(std::min(missing, kPage));
    v1::QueryAuditResponse page;
    const grpc::Status status =
        session.Call<HubService>(&HubService::Stub::QueryAudit, request, &page);
    if (!status.ok()) return session.Fail(status);
    all.mutable_entries()->MergeFrom(page.entries());
    all.set_more(page.more());
    if (!page.more() || page.entries().empty() ||
        static_cast<uint32_t>(all.entries_size()) >= arguments.limit) {
      break;
    }
    request.set_before_sequence(page.entries().rbegin()->sequence());
  }
  Output& output = session.output();
  if (output.json()) {
    output.Json(all);
    return ExitCode::kOk;
  }
  TextTable table({{"TIME"}, {"KIND"}, {"DEVICE"}, {"WHO"}, {"STATUS"}, {"TEXT"}});
  for (auto entry = all.entries().rbegin(); entry != all.entries().rend(); ++entry) {
    const bool bad = !entry->status().empty() && entry->status() != "OK";
    table.AddRow({FormatTime(entry->time()), entry->kind(), entry->device_id(), entry->identity(),
                  output.Paint(bad ? Colour::kWarn : Colour::kNone, entry->status()),
                  entry->text()});
  }
  if (all.more()) output.Line("(older entries are not shown: --limit, --until)");
  if (table.row_count() == 0) {
    output.Line("no entry matches");
  } else {
    output.out() << table.ToString();
  }
  return ExitCode::kOk;
}

}  // namespace

void AddAuditCommand(CLI::App& app, Session& session) {
  CLI::App* command =
      AddCommand(app, "audit", "who did what, when, and what became of it; the newest last",
                 "canhubctl audit --since 1h\n"
                 "canhubctl audit --device hv0 --who alice --since '2026-03-01 09:00'\n"
                 "canhubctl audit --limit 5000 --json");
  auto arguments = std::make_shared<AuditArguments>();
  session.Hint(command->add_option("--device", arguments->device, "only this device or bus")
                   ->type_name("ID"),
               Complete::kDevice);
  command->add_option("--who", arguments->who, "only identities that contain this")
      ->type_name("TEXT");
  command->add_option("--since", arguments->since, "not before: 1h (ago), a date, a date and time")
      ->type_name("TIME");
  command->add_option("--until", arguments->until, "before")->type_name("TIME");
  command->add_option("--limit", arguments->limit, "at most this many, the newest")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  command->callback([&session, arguments] {
    session.action = [&session, arguments] { return Audit(session, *arguments); };
  });
}

}  // namespace canhub::ctl
