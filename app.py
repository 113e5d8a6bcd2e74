"""The Space: python app.py [--artifact FOLDER_OR_HUB_ID ...]"""

from hsae.views.page.app import main

if __name__ == "__main__":
    main()
