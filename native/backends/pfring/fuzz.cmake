if(TARGET ringtap_backend_pfring)
  ringtap_fuzz(pfring SOURCES ${CMAKE_SOURCE_DIR}/native/fuzz/pfring_fuzz.cc LINK ringtap_backend_pfring)
endif()
