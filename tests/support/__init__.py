"""What tests of several packages share: builders of small, valid inputs. No tests in here."""
