"""Files in both APIs: uploads, lists, descriptions, contents and deletion."""
