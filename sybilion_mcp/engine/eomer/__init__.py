"""The embedded engine behind Eomer's wire: any frequency, many series in one job."""
