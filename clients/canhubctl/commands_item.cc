#include <map>
#include <memory>

#include "canhub/v1/item_service.grpc.pb.h"
#include "clients/canhubctl/commands.h"
#include "clients/canhubctl/no_match.h"
#include "clients/canhubctl/text_table.h"
#include "clients/canhubctl/values.h"

namespace canhub::ctl {
namespace {

using v1::ItemService;

std::string RangeText(const v1::ItemDescriptor& item) {
  if (item.has_minimum() && item.has_maximum()) {
    return FormatQuantity(item.minimum(), "") + " … " + FormatQuantity(item.maximum(), "");
  }
  if (item.has_maximum()) return "≤ " + FormatQuantity(item.maximum(), "");
  if (item.has_minimum()) return "≥ " + FormatQuantity(item.minimum(), "");
  return "";
}

std::string AccessText(v1::Access access) {
  switch (access) {
    case v1::ACCESS_READ_ONLY:
      return "r";
    case v1::ACCESS_READ_WRITE:
      return "rw";
    case v1::ACCESS_WRITE_ONLY:
      return "w";
    default:
      return "?";
  }
}

ExitCode Items(Session& session, const std::vector<std::string>& patterns, bool verbose) {
  v1::ListItemsRequest request;
  for (const std::string& pattern : patterns) {
    // A device's id stands for all its items.
    *request.add_patterns() = pattern.find('/') == std::string::npos ? pattern + "/*" : pattern;
  }
  v1::ListItemsResponse response;
  const grpc::Status status =
      session.Call<ItemService>(&ItemService::Stub::ListItems, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (output.json()) {
    output.Json(response);
    return response.items().empty() ? ExitCode::kNotFound : ExitCode::kOk;
  }
  if (response.items().empty()) {
    return output.Fail(
        {ExitCode::kNotFound, "NOT_FOUND", "", NoMatchText(session, request.patterns()), {}});
  }
  std::vector<Column> columns = {{"ITEM"}, {"TYPE"}, {"UNIT"}, {"ACCESS"}, {"RANGE"}};
  if (verbose) {
    columns.insert(columns.end(), {{"ALIAS"}, {"SOURCE"}, {"CONFIDENCE"}, {"GOOD FOR"}});
  }
  columns.push_back({"MEANING"});
  TextTable table(std::move(columns));
  for (const v1::ItemDescriptor& item : response.items()) {
    std::vector<std::string> row = {item.name(),
                                    ShortName(v1::ValueType_Name(item.type()), "VALUE_TYPE_"),
                                    item.unit(), AccessText(item.access()), RangeText(item)};
    if (verbose) {
      row.insert(row.end(),
                 {item.alias(), item.source(), item.confidence(),
                  item.has_good_for() ? FormatDuration(ToNanoseconds(item.good_for())) : ""});
    }
    std::string meaning = item.description();
    if (verbose && !item.labels().empty()) {
      std::string labels;
      for (const auto& [value, label] :
           std::map<int, std::string>(item.labels().begin(), item.labels().end())) {
        labels += (labels.empty() ? "" : ", ") + std::to_string(value) + " = " + label;
      }
      meaning += " (" + labels + ")";
    }
    row.push_back(std::move(meaning));
    table.AddRow(std::move(row));
  }
  output.out() << table.ToString();
  return ExitCode::kOk;
}

struct GetArguments {
  std::vector<std::string> names;
  std::string max_age;
  bool value_only = false;
};

ExitCode Get(Session& session, const GetArguments& arguments) {
  v1::GetItemsRequest request;
  for (const std::string& name : arguments.names) *request.add_names() = name;
  if (!arguments.max_age.empty()) {
    const Parsed<std::chrono::nanoseconds> age = ParseDuration(arguments.max_age);
    if (!age.ok()) return session.Usage("--max-age: " + age.error());
    *request.mutable_max_age() = ToProto(*age);
  }
  v1::GetItemsResponse response;
  const grpc::Status status =
      session.Call<ItemService>(&ItemService::Stub::GetItems, request, &response);
  if (!status.ok()) return session.Fail(status);
  Output& output = session.output();
  if (response.readings().empty()) {
    return output.Fail(
        {ExitCode::kNotFound, "NOT_FOUND", "", NoMatchText(session, request.names()), {}});
  }
  if (arguments.value_only) {
    // One line per reading, so that lines and names stay together; an empty line for no value.
    const v1::Reading* missing = nullptr;
    for (const v1::Reading& reading : response.readings()) {
      output.Line(ExactValue(reading.value()));
      if (!reading.has_value() && missing == nullptr) missing = &reading;
    }
    if (missing == nullptr) return ExitCode::kOk;
    return output.Fail(
        {ExitCode::kUnavailable,
         "UNAVAILABLE",
         "NO_GOOD_VALUE",
         missing->name() + ": " + QualityName(missing->quality()) +
             ", there is no value that can be believed: " + FormatReadingValue(*missing),
         {{"name", missing->name()}, {"quality", QualityName(missing->quality())}}});
  }
  if (output.json()) {
    output.Json(response);
    return ExitCode::kOk;
  }
  TextTable table({{"ITEM"}, {"VALUE", Align::kRight}, {"QUALITY"}, {"READ"}});
  const WallTime now = Now();
  bool simulated = false;
  for (const v1::Reading& reading : response.readings()) {
    const bool good = reading.quality() == v1::QUALITY_GOOD;
    simulated |= reading.simulated();
    table.AddRow({reading.name(), FormatReadingValue(reading),
                  output.Paint(good ? Colour::kGood : Colour::kBad, QualityName(reading.quality())),
                  FormatAgo(reading.read_time(), now)});
  }
  output.out() << table.ToString();
  if (simulated) output.Line(output.Paint(Colour::kDim, "(simulated devices)"));
  return ExitCode::kOk;
}

ExitCode Set(Session& session, const std::vector<std::string>& pairs) {
  if (pairs.size() % 2 != 0) {
    return session.Usage("set takes pairs of NAME and VALUE; \"" + pairs.back() +
                         "\" stands alone");
  }
  v1::SetItemsRequest request;
  *request.mutable_options() = session.CommandOptions();
  for (size_t i = 0; i < pairs.size(); i += 2) {
    // The item's type decides how the text is read: 1 is a switch position, a count or a voltage.
    v1::ListItemsRequest list;
    *list.add_patterns() = pairs[i];
    v1::ListItemsResponse items;
    const grpc::Status status =
        session.Call<ItemService>(&ItemService::Stub::ListItems, list, &items);
    if (!status.ok()) return session.Fail(status);
    if (items.items().empty()) {
      return session.output().Fail({ExitCode::kNotFound,
                                    "NOT_FOUND",
                                    "NO_SUCH_ITEM",
                                    NoMatchText(session, list.patterns()),
                                    {{"name", pairs[i]}}});
    }
    std::string first_bytes;
    for (const v1::ItemDescriptor& item : items.items()) {
      const Parsed<v1::Value> value = ParseValue(item, pairs[i + 1]);
      if (!value.ok()) return session.Usage(value.error());
      const std::string bytes = value->SerializeAsString();
      if (first_bytes.empty()) {
        first_bytes = bytes;
        v1::ItemWrite* write = request.add_writes();
        write->set_name(pairs[i]);
        *write->mutable_value() = *value;
      } else if (bytes != first_bytes) {
        return session.Usage(pairs[i] + " matches items of different types or units (" +
                             items.items(0).name() + " and " + item.name() +
                             "); set them one by one");
      }
    }
  }
  v1::SetItemsResponse response;
  const grpc::Status status =
      session.Command<ItemService>(&ItemService::Stub::SetItems, request, &response);
  if (!status.ok()) return session.Fail(status);
  if (session.output().json()) {
    session.output().Json(response);
    return ExitCode::kOk;
  }
  for (const v1::Receipt& receipt : response.receipts()) {
    session.output().Line(receipt.device_id() + ": " + FormatReceipt(receipt));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddItemCommands(CLI::App& app, Session& session) {
  {
    CLI::App* command = AddCommand(
        app, "items", "describe what devices let you read or set: type, unit, range, meaning",
        "canhubctl items hv0\n"
        "canhubctl items 'hv0/ch3.*' --verbose\n"
        "canhubctl items 'hv*/ch*.Status.voltageMeasure'    an iCS name\n"
        "canhubctl items                                    everything");
    auto patterns = std::make_shared<std::vector<std::string>>();
    auto verbose = std::make_shared<bool>(false);
    session.Hint(command->add_option("pattern", *patterns,
                                     "device ids or patterns: * for any characters but /, "
                                     "ch[0-3,7] for numbers"),
                 Complete::kItem);
    command->add_flag("-v,--verbose", *verbose,
                      "also vendor's name, wire source, how sure it is, labels");
    command->callback([&session, patterns, verbose] {
      session.action = [&session, patterns, verbose] {
        return Items(session, *patterns, *verbose);
      };
    });
  }
  {
    CLI::App* command = AddCommand(app, "get", "read items",
                                   "canhubctl get hv0/ch3.voltage_measure\n"
                                   "canhubctl get 'hv0/ch*.voltage_measure' --json\n"
                                   "canhubctl get hv0/ch3.current_measure --max-age 100ms\n"
                                   "V=$(canhubctl get hv0/ch3.voltage_measure --value-only)");
    auto arguments = std::make_shared<GetArguments>();
    session.Hint(command->add_option("names", arguments->names, "items or patterns")->required(),
                 Complete::kItem);
    command
        ->add_option("--max-age", arguments->max_age,
                     "read from the device what is older than this; 0s: everything")
        ->type_name("DURATION");
    command->add_flag("--value-only", arguments->value_only,
                      "only the value, in full precision, one per line; exit code 5 and an empty "
                      "line when there is none that can be believed");
    command->callback([&session, arguments] {
      session.action = [&session, arguments] { return Get(session, *arguments); };
    });
  }
  {
    CLI::App* command =
        AddCommand(app, "set", "set items; everything is checked before anything is sent",
                   "canhubctl set hv0/ch3.voltage_set 1000\n"
                   "canhubctl set hv0/ch3.voltage_set 1.5kV hv0/ch3.on on\n"
                   "canhubctl set 'hv0/ch[0-3].voltage_set' 500V --wait settled\n"
                   "canhubctl set hv0/ch3.voltage_set 1000 --request-id scan-17");
    auto pairs = std::make_shared<std::vector<std::string>>();
    session.Hint(command
                     ->add_option("name_value", *pairs,
                                  "pairs of NAME (or a pattern) and VALUE; the value may carry the "
                                  "item's unit")
                     ->required()
                     ->type_name("NAME VALUE"),
                 Complete::kItem);
    command->callback(
        [&session, pairs] { session.action = [&session, pairs] { return Set(session, *pairs); }; });
  }
}

}  // namespace canhub::ctl
