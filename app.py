"""The Space: python app.py [--artifact FOLDER_OR_HUB_ID ...]"""

import sys

from hsae.commands.command_line import run_command
from hsae.views.page import app

if __name__ == "__main__":
    sys.exit(run_command(app, "app.py", sys.argv[1:]))
