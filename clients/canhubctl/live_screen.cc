#include "clients/canhubctl/live_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "clients/canhubctl/text_table.h"

namespace canhub::ctl {

TerminalSize GetTerminalSize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return {};
  }
  return {size.ws_row, size.ws_col};
}

LiveScreen::LiveScreen(std::ostream& out) : out_(out) { out_ << "\x1b[?25l" << std::flush; }

LiveScreen::~LiveScreen() { out_ << "\x1b[?25h" << std::flush; }

void LiveScreen::Draw(const std::vector<std::string>& lines, TerminalSize size) {
  // One row stays free: the cursor stands there.
  const size_t room = std::max<size_t>(size.rows, 3) - 1;
  size_t shown = lines.size();
  std::string note;
  if (shown > room) {
    shown = room - 1;
    note = "… " + std::to_string(lines.size() - shown) +
           " more lines; a narrower pattern or a "
           "taller terminal shows them";
  }
  std::string text;
  // After the terminal was made smaller there are fewer rows to go back to.
  const size_t back = std::min(drawn_, room);
  if (back > 0) text += "\x1b[" + std::to_string(back) + "A";
  text += "\r";
  for (size_t i = 0; i < shown; ++i) text += CutToWidth(lines[i], size.columns) + "\x1b[K\n";
  if (!note.empty()) text += CutToWidth(note, size.columns) + "\x1b[K\n";
  text += "\x1b[J";
  drawn_ = shown + (note.empty() ? 0 : 1);
  out_ << text << std::flush;
}

}  // namespace canhub::ctl
